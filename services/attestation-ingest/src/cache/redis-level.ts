import { connectRedis, type Logger } from "@attestry/service-kit";
import { type CircuitBreakerPolicy, ConsecutiveBreaker, circuitBreaker, handleAll } from "cockatiel";
import type { Redis } from "ioredis";
import type { Telemetry } from "../telemetry.ts";

/** A server that says nothing is left alone for a while after so many commands. */
const failuresToSkip = 3;
const skipMs = 5_000;

export interface RedisLevelOptions {
  url: string;
  ttlMs: number;
  /** Larger bundles are not kept, in bytes. */
  maxEntryBytes: number;
  telemetry: Telemetry;
  logger: Logger;
}

/** Bundles in Redis, shared by all replicas. Its faults are skipped and counted, never thrown: it only saves time. */
export class RedisLevel {
  readonly #redis: Redis;
  readonly #breaker: CircuitBreakerPolicy;
  readonly #options: RedisLevelOptions;

  constructor(options: RedisLevelOptions) {
    this.#options = options;
    this.#breaker = circuitBreaker(handleAll, {
      halfOpenAfter: skipMs,
      breaker: new ConsecutiveBreaker(failuresToSkip),
    });
    const { url, logger } = options;
    this.#redis = connectRedis({ url, whenAway: "Redis is away; bundles are read without it", logger });
  }

  /** The bytes under the key, unchecked; undefined if there are none or Redis is away. */
  async get(key: string): Promise<Buffer | undefined> {
    const bytes = await this.#try("get", () => this.#redis.getBuffer(name(key)));
    return bytes ?? undefined;
  }

  /** Keeps the bytes if they are small enough. Returns at once. */
  set(key: string, bytes: Buffer): void {
    if (bytes.length > this.#options.maxEntryBytes) return;
    void this.#try("set", () => this.#redis.set(name(key), bytes, "PX", this.#options.ttlMs));
  }

  destroy(): void {
    this.#redis.disconnect();
  }

  async #try<T>(operation: "get" | "set", command: () => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#breaker.execute(command);
    } catch {
      this.#options.telemetry.cacheSkipped(operation);
      return undefined;
    }
  }
}

function name(key: string): string {
  return `attestry:bundle:${key}`;
}
