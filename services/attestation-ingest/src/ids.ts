// RFC 9562 section 5.7: the first 48 bits of a UUIDv7 are milliseconds since the epoch.
const largestTime = 2 ** 48 - 1;

/** When the UUIDv7 was made. */
export function timeOfId(id: string): Date {
  return new Date(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16));
}

/** The least UUID of that millisecond since the epoch: bounds on time become bounds on ids. */
export function firstIdAt(milliseconds: number): string {
  const time = Math.min(Math.max(Math.ceil(milliseconds), 0), largestTime);
  const hex = time.toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
