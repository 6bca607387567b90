import { create, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { parse as parseYaml } from "yaml";
import { type CraftingSchema, CraftingSchemaSchema } from "../gen/workflowcontract/v1/workflowcontract_pb.ts";

// The two shapes of a contract: `schemaVersion: v1` with its fields beside it, and the later `kind: Contract`, which has
// metadata and the same fields under `spec`. The native API keeps the text and knows neither.

/** Bounds what aliases in YAML can unfold to. */
const mostAliases = 100;

/** An empty object for what is neither JSON nor YAML. */
export function readContract(text: Uint8Array): JsonObject {
  try {
    // JSON is YAML too.
    return objectOf(parseYaml(Buffer.from(text).toString("utf8"), { maxAliasCount: mostAliases }));
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
  const schema = contract.spec === undefined ? contract : { ...objectOf(contract.spec) };
  try {
    return fromJson(CraftingSchemaSchema, { ...schema, schemaVersion: "v1" }, { ignoreUnknownFields: true });
  } catch {
    return create(CraftingSchemaSchema, { schemaVersion: "v1" });
  }
}

function objectOf(value: unknown): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}
