import { type DescField, type DescMessage, type DescOneof, ScalarType } from "@bufbuild/protobuf";
import fc from "fast-check";
import { bundles, mutatedBundles } from "../grammar/bundle.ts";
import { anyBytes } from "../grammar/bytes.ts";
import { cursors } from "../grammar/cursor.ts";
import { digests, hex } from "../grammar/digest.ts";
import { resourceNames } from "../grammar/names.ts";
import { anyText, names, uuids } from "../grammar/text.ts";
import type { Server } from "./standalone.ts";

/** What fills messages by the names and types of their fields. */
export class Messages {
  readonly #known: Server["known"];

  constructor(known: Server["known"]) {
    this.#known = known;
  }

  /** What `create` takes for the message; deeper than this many levels nothing is set. */
  of(desc: DescMessage, levels = 3): fc.Arbitrary<Record<string, unknown>> {
    const members = desc.members.flatMap((member) => {
      const values = member.kind === "oneof" ? this.#oneof(member, levels) : this.#field(member, levels);
      return values === undefined ? [] : [[member.localName, values] as const];
    });
    return fc.record(Object.fromEntries(members), { requiredKeys: [] });
  }

  /** A text that fits the field's name, most of the time. */
  text(name: string): fc.Arbitrary<string> {
    const fitting = this.#fitting(name);
    return fc.oneof({ weight: 4, arbitrary: fitting }, { weight: 1, arbitrary: anyText });
  }

  #fitting(name: string): fc.Arbitrary<string> {
    const { runId, digest, backendId, organizationId } = this.#known;
    if (name === "resource_name") return resourceNames;
    if (name === "page_token") return cursors;
    if (name === "hash") return fc.oneof(hex, fc.constant(digest.slice("sha256:".length)));
    if (name.endsWith("digest")) return fc.oneof(digests, fc.constant(digest));
    if (name === "organization_id") return fc.oneof(fc.constant(organizationId), uuids);
    if (name === "run_id" || name === "workflow_run_id") return fc.oneof(fc.constant(runId), uuids);
    if (name === "id" || name.endsWith("_id"))
      return fc.oneof(fc.constantFrom(runId, backendId, organizationId), uuids);
    if (name === "secret_ref") return fc.constantFrom("_shared/local", "_shared/none", "none", "../keys/workflow-run");
    return fc.oneof(names, fc.constantFrom("local", "inline", "fuzz", "default", "release"));
  }

  #oneof({ fields }: DescOneof, levels: number): fc.Arbitrary<unknown> {
    return fc.oneof(
      ...fields.map((field) =>
        (this.#field(field, levels) ?? fc.constant(undefined)).map((value) => ({ case: field.localName, value })),
      ),
    );
  }

  #field(field: DescField, levels: number): fc.Arbitrary<unknown> | undefined {
    switch (field.fieldKind) {
      case "scalar":
        return this.#scalar(field.scalar, field.name);
      case "enum":
        return enumNumbers;
      case "message":
        return levels === 0 ? undefined : this.of(field.message, levels - 1);
      case "list": {
        const item =
          field.listKind === "scalar"
            ? this.#scalar(field.scalar, field.name)
            : field.listKind === "enum"
              ? enumNumbers
              : levels === 0
                ? undefined
                : this.of(field.message, levels - 1);
        return item && fc.array(item, { maxLength: 3 });
      }
      case "map":
        return field.mapKind === "scalar" ? fc.dictionary(anyText, this.#scalar(field.scalar, field.name)) : undefined;
    }
  }

  #scalar(type: ScalarType, name: string): fc.Arbitrary<unknown> {
    switch (type) {
      case ScalarType.STRING:
        return this.text(name);
      case ScalarType.BYTES:
        return name === "bundle" ? fc.oneof(bundles, mutatedBundles) : anyBytes;
      case ScalarType.BOOL:
        return fc.boolean();
      case ScalarType.DOUBLE:
      case ScalarType.FLOAT:
        return fc.float();
      case ScalarType.INT64:
      case ScalarType.SINT64:
      case ScalarType.SFIXED64:
        return fc.oneof(longs, fc.bigInt({ min: 0n, max: 5_000n }));
      case ScalarType.UINT64:
      case ScalarType.FIXED64:
        return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
      case ScalarType.UINT32:
      case ScalarType.FIXED32:
        return fc.integer({ min: 0, max: 2 ** 32 - 1 });
      default:
        return fc.oneof(fc.constantFrom(0, 1, -1, 50, 200, 201, 2 ** 31 - 1, -(2 ** 31)), fc.integer());
    }
  }
}

/** Known numbers are low; others come from peers that are newer, or lie. */
const enumNumbers = fc.oneof({ weight: 5, arbitrary: fc.nat(5) }, { weight: 1, arbitrary: fc.integer() });
const longs = fc.constantFrom(0n, 1n, -1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), 253_402_300_800n);
