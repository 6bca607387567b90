import { DomainError } from "../errors/domain-error.ts";

/** How fast a caller has to send. */
export interface BodyPace {
  /** How long it may say nothing, in milliseconds. */
  idleMs: number;
  /** What it sends at least in each second beyond that, in bytes. */
  leastPerSecond: number;
}

/**
 * The refusal of a caller that was waited for too long; undefined if it was not: one that sends a byte now and then is never silent,
 * and would hold its call for ever.
 * @param received what has come, in bytes
 * @param waitedMs how long it was waited for
 */
export function tooSlow(
  { idleMs, leastPerSecond }: BodyPace,
  received: number,
  waitedMs: number,
): DomainError | undefined {
  if (waitedMs <= idleMs + (received / leastPerSecond) * 1_000) return undefined;
  const seconds = (waitedMs / 1_000).toFixed(1);
  return new DomainError(
    "DEADLINE_EXCEEDED",
    `the body came too slowly, ${received} bytes in ${seconds} s: send at least ${leastPerSecond} bytes a second, in smaller requests or over a faster line`,
    { metadata: { expected: `${leastPerSecond} bytes/s`, actual: `${received} bytes in ${seconds} s` } },
  );
}
