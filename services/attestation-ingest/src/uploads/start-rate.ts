import { TokenBucket } from "limiter";
import { LRUCache } from "lru-cache";

const mostBackends = 1_000;
const secondMs = 1_000;

/**
 * How many uploads to each backend may start now, so that no more start than so many a second (after a pause, those of
 * one second at once). It is asked before rows are claimed: a row that had to wait for its turn would sit under a lease.
 */
export class StartRate {
  readonly #perSecond: number;
  /** One that was not used for a second is full again, as a new one is. */
  readonly #buckets: LRUCache<string, TokenBucket>;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#buckets = new LRUCache({ max: mostBackends, ttl: secondMs });
  }

  /** Those to which one started within the last second: the others have all their room. */
  backends(): Iterable<string> {
    return this.#buckets.keys();
  }

  room(backendId: string): number {
    const bucket = this.#buckets.get(backendId);
    if (bucket === undefined) return this.#perSecond;
    bucket.drip();
    return Math.floor(bucket.content);
  }

  /** One starts; there was room for it. */
  take(backendId: string): void {
    const bucket = this.#buckets.get(backendId) ?? this.#full();
    bucket.tryRemoveTokens(1);
    this.#buckets.set(backendId, bucket);
  }

  #full(): TokenBucket {
    const bucket = new TokenBucket({
      bucketSize: this.#perSecond,
      tokensPerInterval: this.#perSecond,
      interval: secondMs,
    });
    bucket.content = this.#perSecond;
    return bucket;
  }
}
