import type { Redis } from "ioredis";
import { LRUCache } from "lru-cache";
import { RateLimiterRedis, type RateLimiterRes } from "rate-limiter-flexible";
import type { Logger } from "../observe/logger.ts";
import { Periodic } from "../periodic.ts";
import { connectRedis } from "../redis.ts";

export interface SharedCountsOptions {
  /** Of Redis. */
  url: string;
  /** Before each key: one service's counts are not another's. */
  prefix: string;
  /** For each kind of key, how many a second. */
  perSecond: Readonly<Record<string, number>>;
  /** Redis could not be told. */
  onFault: () => void;
  logger: Logger;
}

/** How often what was counted here is told to Redis. */
const tellEveryMs = 200;
/** Replicas are counted together in windows of that many seconds. */
const windowSeconds = 2;
const mostKeys = 20_000;

/**
 * What all replicas of a service count together, in Redis. No call waits for it: counts are told now and then, and a key
 * that has had more than its share everywhere is held back here until its window ends. Without Redis each replica has
 * its own rates alone.
 */
export class SharedCounts {
  readonly #options: SharedCountsOptions;
  readonly #redis: Redis;
  readonly #limiters: ReadonlyMap<string, RateLimiterRedis>;
  readonly #telling: Periodic;
  readonly #heldUntil = new LRUCache<string, number>({ max: mostKeys });
  #untold = new Map<string, { kind: string; key: string; count: number }>();

  constructor(options: SharedCountsOptions) {
    this.#options = options;
    const { url, prefix, perSecond, logger } = options;
    const whenAway = "Redis is away; each replica limits requests by itself";
    this.#redis = connectRedis({ url, whenAway, logger });
    this.#limiters = new Map(
      Object.entries(perSecond).map(([kind, rate]) => [
        kind,
        new RateLimiterRedis({
          storeClient: this.#redis,
          keyPrefix: `attestry:rate:${prefix}:${kind}`,
          points: rate * windowSeconds,
          duration: windowSeconds,
        }),
      ]),
    );
    this.#telling = new Periodic({
      name: "telling Redis of requests",
      intervalMs: tellEveryMs,
      work: () => this.#tell(),
      logger,
    });
    this.#telling.start();
  }

  /** One more. Returns 0, or for how long the key is held back, in milliseconds. */
  count(kind: string, key: string): number {
    const name = `${kind}:${key}`;
    const heldMs = (this.#heldUntil.get(name) ?? 0) - performance.now();
    if (heldMs > 0) return heldMs;
    const untold = this.#untold.get(name);
    if (untold !== undefined) untold.count++;
    else if (this.#untold.size < mostKeys) this.#untold.set(name, { kind, key, count: 1 });
    return 0;
  }

  async destroy(): Promise<void> {
    await this.#telling.destroy();
    this.#redis.disconnect();
  }

  async #tell(): Promise<void> {
    const untold = this.#untold;
    this.#untold = new Map();
    await Promise.all([...untold].map(([name, { kind, key, count }]) => this.#tellOne(name, kind, key, count)));
  }

  async #tellOne(name: string, kind: string, key: string, count: number): Promise<void> {
    const limiter = this.#limiters.get(kind);
    if (limiter === undefined) return;
    try {
      const { consumedPoints, msBeforeNext }: RateLimiterRes = await limiter.penalty(key, count);
      if (consumedPoints > limiter.points) this.#heldUntil.set(name, performance.now() + msBeforeNext);
    } catch {
      // What could not be told is not told later: its window is over by then.
      this.#options.onFault();
    }
  }
}
