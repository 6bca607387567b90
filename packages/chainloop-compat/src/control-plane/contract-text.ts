import { create, fromJson } from "@bufbuild/protobuf";
import { parse as parseYaml } from "yaml";
import { type CraftingSchema, CraftingSchemaSchema } from "../gen/workflowcontract/v1/workflowcontract_pb.ts";
import { type JsonObject, objectOf, textOf } from "./json.ts";

// The two shapes of a contract: `schemaVersion: v1` with its fields beside it, and the later `kind: Contract`, which has
// metadata and the same fields under `spec`. The native API keeps the text and knows neither.

/** Bounds what aliases in YAML can unfold to. */
const mostAliases = 100;

/** An empty object for what is neither JSON nor YAML. May take seconds for the worst that the native API takes: see Reader. */
export function readContract(bytes: Uint8Array): JsonObject {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
  try {
    return objectOf(JSON.parse(text));
  } catch {
    return readYaml(text);
  }
}

function readYaml(text: string): JsonObject {
  try {
    // Looking for keys that come twice takes the square of their number.
    return objectOf(
      parseYaml(text, { maxAliasCount: mostAliases, uniqueKeys: false, merge: true, logLevel: "silent" }),
    );
  } catch {
    return {};
  }
}

/** The name within the text; empty if it has none. */
export function nameOf(contract: JsonObject): string {
  return textOf(objectOf(contract.metadata).name);
}

export function descriptionOf(contract: JsonObject): string {
  return textOf(objectOf(contract.metadata).description);
}

/** The message that clients read beside the text; of a text that is none of the two shapes one that asks for nothing. */
export function craftingSchemaOf(contract: JsonObject): CraftingSchema {
  try {
    return parseSchema(contract);
  } catch {
    return create(CraftingSchemaSchema, { schemaVersion: "v1" });
  }
}

/** Throws on fields of the wrong type. */
export function parseSchema(contract: JsonObject): CraftingSchema {
  return fromJson(
    CraftingSchemaSchema,
    { ...schemaJsonOf(contract), schemaVersion: "v1" },
    { ignoreUnknownFields: true },
  );
}

/** What both shapes have in common. */
export function schemaJsonOf(contract: JsonObject): JsonObject {
  return contract.spec === undefined ? contract : objectOf(contract.spec);
}
