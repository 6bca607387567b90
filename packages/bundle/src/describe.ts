const QUOTED_CHARACTERS = 80;

/**
 * The text in quotes, at most 80 characters of it. Control characters and lone surrogates come out escaped, so the
 * result can go into a log line or a protobuf string.
 */
export function quote(text: string): string {
  if (text.length <= QUOTED_CHARACTERS) {
    return JSON.stringify(text);
  }
  return `${JSON.stringify(text.slice(0, QUOTED_CHARACTERS))}... (${text.length} characters)`;
}

/** What a JSON value is, for a message: its kind, and the value itself only where it is short. */
export function describe(value: unknown): string {
  if (value === undefined) {
    return "nothing";
  }
  if (typeof value === "string") {
    return quote(value);
  }
  if (Array.isArray(value)) {
    return value.length === 0 ? "an empty array" : "an array";
  }
  if (typeof value === "object" && value !== null) {
    return Object.keys(value).length === 0 ? "an empty object" : "an object";
  }
  if (typeof value === "number" || typeof value === "boolean") {
    return `the ${typeof value} ${value}`;
  }
  return value === null ? "null" : `a ${typeof value}`;
}

/** The same without the value: for what may be any file at all, whose content belongs in no log. */
export function kindOf(value: unknown): string {
  return typeof value === "string" ? `a string of length ${value.length}` : describe(value);
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value that JSON.parse made is an object, so neither null nor an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
