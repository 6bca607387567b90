import { parseUuid } from "@attestry/service-kit";

const latest = 2 ** 48 - 1;

/** The id in its own spelling. Throws RUN_ID_INVALID. */
export function parseRunId(text: string): string {
  return parseUuid(text, "RUN_ID_INVALID", "run_id");
}

/** When a UUIDv7 was made, to the millisecond (RFC 9562 section 5.7). */
export function timeOfId(id: string): Date {
  return new Date(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16));
}

/** The least id of this time, in milliseconds since 1970: a bound on the time as a bound on the id. */
export function leastIdAt(milliseconds: number): string {
  const hex = Math.min(Math.max(Math.ceil(milliseconds), 0), latest)
    .toString(16)
    .padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
