import { v7 } from "uuid";
import { DomainError } from "./errors/domain-error.ts";
import type { Reason } from "./errors/reasons.ts";

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
// RFC 9562 section 5.7: the first 48 bits of a UUIDv7 are milliseconds since the epoch.
const largestTime = 2 ** 48 - 1;

/** A new UUID whose order is the order of creation (RFC 9562 section 5.7). */
export function uuidv7(): string {
  return v7();
}

export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

/** The UUID in lower case. Throws `code` with what was expected and what came if it is none. */
export function parseUuid(text: string, code: Reason, what: string): string {
  if (isUuid(text)) return text.toLowerCase();
  const came = text === "" ? "nothing" : `"${text.slice(0, 80)}"`;
  throw new DomainError(code, `${what} must be a UUID; came ${came}`, {
    metadata: { expected: "UUID", actual: text.slice(0, 80) },
  });
}

/** When the UUIDv7 was made, to the millisecond. */
export function timeOfId(id: string): Date {
  return new Date(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16));
}

/** The least UUID of that time, in milliseconds since the epoch: bounds on time become bounds on ids. */
export function firstIdAt(milliseconds: number): string {
  const time = Math.min(Math.max(Math.ceil(milliseconds), 0), largestTime);
  const hex = time.toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
