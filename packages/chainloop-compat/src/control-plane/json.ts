/** What a predicate or a contract holds was written by a client: it may be anything, and nothing of it makes a view fail. */

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Empty for what is no object. */
export function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

/** A field by its name in lowerCamelCase or, as older clients wrote it, in snake_case. */
export function field(from: JsonObject, name: string): unknown {
  return from[name] ?? from[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)];
}

/** Empty for what is no text. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value.toWellFormed() : "";
}

export function textListOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((text) => typeof text === "string").map(textOf) : [];
}

/** Annotations and the like, of any kind, as texts. */
export function textMapOf(value: unknown): Record<string, string> {
  return Object.fromEntries(Object.entries(objectOf(value)).map(([key, one]) => [key.toWellFormed(), annotation(one)]));
}

function annotation(value: unknown): string {
  return typeof value === "string" ? textOf(value) : JSON.stringify(value);
}

/** What a protobuf int32 can hold; 0 for anything else. */
export function countOf(value: unknown): number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 31 ? value : 0;
}
