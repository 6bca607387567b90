import { TokenBucket } from "limiter";
import { LRUCache } from "lru-cache";

/** As many keys are remembered; one that is pushed out starts anew. */
const mostKeys = 20_000;
const secondMs = 1_000;

/** A rate for each of many: so many a second, and after a pause those of one second at once. */
export class Buckets {
  readonly perSecond: number;
  /** One that was not used for a second is full again, as a new one is. */
  readonly #buckets: LRUCache<string, TokenBucket>;

  constructor(perSecond: number) {
    this.perSecond = perSecond;
    this.#buckets = new LRUCache({ max: mostKeys, ttl: secondMs, updateAgeOnGet: true });
  }

  /** Takes one. Returns 0, or how long it takes until there is one, in milliseconds. */
  take(key: string): number {
    const bucket = this.#of(key);
    return bucket.tryRemoveTokens(1) ? 0 : Math.max(1, bucket.getWaitTime(1));
  }

  /** One that was taken does not count. */
  giveBack(key: string): void {
    const bucket = this.#buckets.get(key);
    if (bucket !== undefined) bucket.content = Math.min(bucket.bucketSize, bucket.content + 1);
  }

  #of(key: string): TokenBucket {
    const known = this.#buckets.get(key);
    if (known !== undefined) return known;
    const { perSecond } = this;
    const bucket = new TokenBucket({ bucketSize: perSecond, tokensPerInterval: perSecond, interval: secondMs });
    bucket.content = perSecond;
    this.#buckets.set(key, bucket);
    return bucket;
  }
}
