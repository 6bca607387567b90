import { Buckets } from "./buckets.ts";

interface UnderWay {
  count: number;
  /** Those who wait, the first first. */
  waiting: (() => void)[];
}

/**
 * How many tokens may be refused at each address. Whoever verifies one takes a place for it, and gives it back if the
 * token was good: so good ones cost nothing, and of bad ones never more are verified than may be refused. Where no place
 * is left but some verify yet, one waits for them instead of being refused, since they may all be good.
 */
export class RefusedTokens {
  readonly #places: Buckets;
  readonly #underWay = new Map<string, UnderWay>();

  constructor(perSecond: number) {
    this.#places = new Buckets(perSecond);
  }

  get perSecond(): number {
    return this.#places.perSecond;
  }

  /** One that counts in any case. Returns 0, or how long it takes until there is a place, in milliseconds. */
  count(address: string): number {
    return this.#places.take(address);
  }

  /** A token is to be verified. Resolves with 0, and then `leave` has to follow; or as `count` does. */
  async enter(address: string): Promise<number> {
    for (;;) {
      const waitMs = this.#places.take(address);
      const others = this.#underWay.get(address);
      if (waitMs === 0) {
        if (others === undefined) this.#underWay.set(address, { count: 1, waiting: [] });
        else others.count++;
        return 0;
      }
      if (others === undefined) return waitMs;
      await new Promise<void>((resolve) => {
        others.waiting.push(resolve);
      });
    }
  }

  /** A token was verified. */
  leave(address: string, good: boolean): void {
    if (good) this.#places.giveBack(address);
    const own = this.#underWay.get(address);
    if (own === undefined) return;
    own.count--;
    if (own.count === 0) {
      this.#underWay.delete(address);
      for (const goOn of own.waiting) goOn();
    } else if (good) own.waiting.shift()?.();
  }
}
