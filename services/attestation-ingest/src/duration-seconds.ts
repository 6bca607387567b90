import type { Duration } from "@bufbuild/protobuf/wkt";

/** Whole seconds of a google.protobuf.Duration; 0 if it is not set. */
export function durationSeconds(duration: Duration | undefined): number {
  return Number(duration?.seconds ?? 0n);
}
