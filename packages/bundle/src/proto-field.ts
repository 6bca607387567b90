import type { JsonObject } from "./describe.ts";
import { type BundleErrorCode, mismatch } from "./error.ts";

/**
 * A field of a message in proto3 JSON by either of its names: lowerCamelCase or the proto's own. Null is unset, and so
 * undefined.
 *
 * @throws BundleError with the code given: it is there by both names.
 */
export function protoField(
  message: JsonObject,
  name: string,
  { code, what }: { code: BundleErrorCode; what: string },
): unknown {
  const protoName = name.replace(/[A-Z]/g, (part) => `_${part.toLowerCase()}`);
  const value = message[name] ?? undefined;
  if (protoName === name) {
    return value;
  }
  const other = message[protoName] ?? undefined;
  if (value !== undefined && other !== undefined) {
    throw mismatch(code, what, `${name} once`, `${name} and ${protoName}`);
  }
  return value ?? other;
}
