import type { ServiceName } from "./principal.ts";

/** A clock that is further off than this is not followed. */
const furthestMs = 24 * 3_600_000;
/** Either clock may be put right meanwhile. */
const rememberMs = 10 * 60_000;

/** Told how many milliseconds a peer's clock is ahead of this process's (negative: behind). Must not throw. */
export type ClockReport = (peer: ServiceName, aheadMs: number) => void;

/**
 * What time it is for each peer, where one said that it differs from here. Kept apart for each, so that the wrong clock
 * of one shifts nothing that is meant for another.
 */
export class PeerClocks {
  readonly #ahead = new Map<ServiceName, { ms: number; until: number }>();
  readonly #report: ClockReport;

  constructor(report: ClockReport) {
    this.#report = report;
  }

  /** Milliseconds since the epoch, by the peer's clock. */
  now(peer: ServiceName): number {
    const known = this.#ahead.get(peer);
    if (known !== undefined && performance.now() > known.until) {
      this.#ahead.delete(peer);
      this.#report(peer, 0);
    }
    return Date.now() + (this.#ahead.get(peer)?.ms ?? 0);
  }

  /** The peer says what time it is there. False: that is too far from here to be followed. */
  learn(peer: ServiceName, now: number): boolean {
    const ms = now - Date.now();
    this.#report(peer, ms);
    if (!(Math.abs(ms) <= furthestMs)) return false;
    this.#ahead.set(peer, { ms, until: performance.now() + rememberMs });
    return true;
  }
}
