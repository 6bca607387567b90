import type { CasPrincipal, RetentionBounds } from "@attestry/service-kit";

const dayMs = 86_400_000;

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
  const renewAfterMs = space === "blobs" && lifeMs !== undefined ? lifeMs - leastLeftMs(lifeMs, atLeastMs) : undefined;
  return atLeastMs === 0 && renewAfterMs === undefined ? undefined : { atLeastMs, renewAfterMs };
}

/**
 * How much of its life a blob must have left to count as there. Where at_least promises nothing it is a day, or half of a
 * short life: who is told that it is there goes on to use it.
 */
function leastLeftMs(lifeMs: number, atLeastMs: number): number {
  return Math.max(atLeastMs, Math.min(lifeMs / 2, dayMs));
}

/** How long materials stay, in milliseconds; undefined: for good. */
export function lifeOf({ atLeastSeconds, atMostSeconds }: RetentionBounds): number | undefined {
  return atMostSeconds === 0 ? undefined : Math.max(atLeastSeconds, atMostSeconds) * 1_000;
}

/** Whether what was stored then is too old to count as there for a write. */
export function isStale(storedAt: Date, keeping: Keeping | undefined): boolean {
  return keeping?.renewAfterMs !== undefined && storedAt.getTime() < Date.now() - keeping.renewAfterMs;
}
