import type { CasPrincipal, RetentionBounds } from "@attestry/service-kit";

/** What a write owes to the life of its blob. */
export interface Keeping {
  /** How long from now on the blob is to stay, in milliseconds; 0: no promise. */
  atLeastMs: number;
  /** A blob that was stored longer ago is written anew, since it would not stay so long; undefined: none is. */
  renewAfterMs: number | undefined;
}

/** Undefined: the caller's organization asks for nothing. */
export function keepingOf({ retention, space }: CasPrincipal): Keeping | undefined {
  if (retention === undefined) return undefined;
  const atLeastMs = retention.atLeastSeconds * 1_000;
  const lifeMs = lifeOf(retention);
  // Bundles go when their attestations do, however old they are.
  const renewAfterMs = space === "blobs" && lifeMs !== undefined ? lifeMs - atLeastMs : undefined;
  return atLeastMs === 0 && renewAfterMs === undefined ? undefined : { atLeastMs, renewAfterMs };
}

/** How long materials stay, in milliseconds; undefined: for good. */
export function lifeOf({ atLeastSeconds, atMostSeconds }: RetentionBounds): number | undefined {
  return atMostSeconds === 0 ? undefined : Math.max(atLeastSeconds, atMostSeconds) * 1_000;
}

/** Whether what was stored then is too old to count as there for a write. */
export function isStale(storedAt: Date, keeping: Keeping | undefined): boolean {
  return keeping?.renewAfterMs !== undefined && storedAt.getTime() < Date.now() - keeping.renewAfterMs;
}
