const firstMs = 1_000;
const largestMs = 10 * 60_000;

/**
 * How long to wait after that many failed attempts, in milliseconds: doubling from 1 s to 10 min, of which a random
 * half falls away, so that what failed together is not tried together.
 */
export function backoffMs(failedAttempts: number, random: () => number = Math.random): number {
  const full = Math.min(firstMs * 2 ** Math.min(Math.max(failedAttempts - 1, 0), 30), largestMs);
  return Math.round(full * (0.5 + random() / 2));
}
