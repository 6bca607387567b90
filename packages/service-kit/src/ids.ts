import { v7 } from "uuid";
import { DomainError } from "./errors/domain-error.ts";
import type { Reason } from "./errors/reasons.ts";

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

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
