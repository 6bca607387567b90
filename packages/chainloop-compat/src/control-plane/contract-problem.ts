import type { DescMessage } from "@bufbuild/protobuf";
import { type CraftingSchema, CraftingSchemaSchema } from "../gen/workflowcontract/v1/workflowcontract_pb.ts";
import { parseSchema, schemaJsonOf } from "./contract-text.ts";
import { type JsonObject, objectOf } from "./json.ts";

const longestShown = 200;

/** Why the client could not work by a contract, in one line; empty: it can. Fields that are not known are passed over. */
export function problemOf(contract: JsonObject): string {
  if (Object.keys(contract).length === 0) return "expected a JSON or YAML object";
  const isFirstShape = contract.schemaVersion === "v1" || contract.schema_version === "v1";
  const isLaterShape = contract.kind === "Contract" && contract.apiVersion === "chainloop.dev/v1";
  if (!isFirstShape && !isLaterShape)
    return "expected schemaVersion: v1, or apiVersion: chainloop.dev/v1 with kind: Contract";
  const schema = schemaJsonOf(contract);
  const parsed = parsedOr(contract);
  if (typeof parsed === "string") return parsed;
  return wrongEnum(CraftingSchemaSchema, schema, "") || twice(schema) || ofServer(parsed);
}

/** Why it cannot be parsed in place of what it says. */
function parsedOr(contract: JsonObject): CraftingSchema | string {
  try {
    return parseSchema(contract);
  } catch (error) {
    return String(error instanceof Error ? error.message : error)
      .replaceAll(/\s+/g, " ")
      .slice(0, longestShown);
  }
}

/** The parser passes over names of enumerations that it does not know. */
function wrongEnum(message: DescMessage, json: JsonObject, path: string): string {
  for (const field of message.fields) {
    const value = json[field.jsonName] ?? json[field.name];
    if (value === undefined || value === null) continue;
    const at = `${path}${field.name}`;
    const values: unknown[] = Array.isArray(value) ? value : [value];
    for (const one of values) {
      const names = field.enum?.values.map(({ name }) => name);
      if (names !== undefined && typeof one === "string" && !names.includes(one))
        return `${at}: expected one of ${names.slice(1).join(", ")}; came ${JSON.stringify(one.slice(0, longestShown))}`;
      // Of maps only the values are messages, and none of a contract has one with an enumeration.
      if (field.message !== undefined && field.fieldKind !== "map") {
        const problem = wrongEnum(field.message, objectOf(one), `${at}.`);
        if (problem !== "") return problem;
      }
    }
  }
  return "";
}

function twice({ materials }: JsonObject): string {
  const seen = new Set<string>();
  for (const material of Array.isArray(materials) ? materials : []) {
    const { name } = objectOf(material);
    if (typeof name !== "string" || name === "") continue;
    if (seen.has(name)) return `materials: the name ${JSON.stringify(name.slice(0, longestShown))} is there twice`;
    seen.add(name);
  }
  return "";
}

/** The client asks its server for policies without a scheme of a URL too; here none are kept, which it would say at push. */
function ofServer({ policies, policyGroups }: CraftingSchema): string {
  const attached = [...(policies?.materials ?? []), ...(policies?.attestation ?? [])];
  const references = [
    ...attached.map(({ policy }) => ({ what: "policy", ref: policy.case === "ref" ? policy.value : "" })),
    ...policyGroups.map(({ ref }) => ({ what: "policy group", ref })),
  ];
  const found = references.find(({ ref }) => ref !== "" && (!ref.includes("://") || ref.startsWith("chainloop://")));
  if (found === undefined) return "";
  const shown = JSON.stringify(found.ref.slice(0, longestShown));
  return `the ${found.what} ${shown} is one of a server, and none are served here; name it by file:// or https://`;
}
