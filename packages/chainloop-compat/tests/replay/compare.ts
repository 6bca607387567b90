import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/** One place where two answers are not the same. */
export interface Difference {
  /** `result.workflow.id`; the elements of a list all have the name of the list and `[]`. */
  path: string;
  /** Undefined: not there. */
  recorded: JsonValue | undefined;
  actual: JsonValue | undefined;
}

export function differences(recorded: JsonValue | undefined, actual: JsonValue | undefined, path = ""): Difference[] {
  if (isObject(recorded) && isObject(actual)) {
    const names = new Set([...Object.keys(recorded), ...Object.keys(actual)]);
    return [...names].flatMap((name) =>
      differences(recorded[name], actual[name], path === "" ? name : `${path}.${name}`),
    );
  }
  if (Array.isArray(recorded) && Array.isArray(actual) && recorded.length === actual.length)
    return recorded.flatMap((one, index) => differences(one, actual[index], `${path}[]`));
  return recorded === actual ? [] : [{ path, recorded, actual }];
}

/** The same with every text for which there is another. */
export function replaced(value: JsonValue, other: ReadonlyMap<string, string>): JsonValue {
  if (typeof value === "string") return other.get(value) ?? value;
  if (Array.isArray(value)) return value.map((one) => replaced(one, other));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, replaced(one, other)]));
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
