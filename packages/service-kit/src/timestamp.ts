import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { DomainError } from "./errors/domain-error.ts";

/**
 * Milliseconds since 1970, with a fraction, of a time that came from outside; `what` is the name of its field. Throws
 * REQUEST_INVALID outside of the years 1 to 9999 (google/protobuf/timestamp.proto), which a Date need not be able to hold.
 */
export function parseTime({ seconds, nanos }: Pick<Timestamp, "seconds" | "nanos">, what: string): number {
  if (seconds >= -62_135_596_800n && seconds <= 253_402_300_799n) return Number(seconds) * 1000 + nanos / 1_000_000;
  throw new DomainError("REQUEST_INVALID", `${what} must be in the years 1 to 9999; came ${seconds} s`, {
    metadata: { expected: "a time in the years 1 to 9999", actual: `${seconds} s` },
  });
}
