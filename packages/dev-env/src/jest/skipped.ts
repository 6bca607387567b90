import type { OptionalServer } from "../programs.ts";

/** In the title of a suite that was skipped for want of servers; how the reporter knows it. */
export const skippedMark = /\(skipped: needs ([a-z, ]+)\)/;

export function skippedTitle(name: string, missing: readonly OptionalServer[]): string {
  return `${name} (skipped: needs ${missing.join(", ")})`;
}
