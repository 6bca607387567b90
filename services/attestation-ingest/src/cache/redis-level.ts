import type { Logger } from "@attestry/service-kit";
import { type CircuitBreakerPolicy, ConsecutiveBreaker, circuitBreaker, handleAll } from "cockatiel";
import { Redis } from "ioredis";
import type { Telemetry } from "../telemetry.ts";

/** A command to a server that says nothing costs this much, and after three of them nothing for a while. */
const commandTimeoutMs = 250;
const failuresToSkip = 3;
const skipMs = 5_000;
const largestReconnectDelayMs = 5_000;

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
    this.#redis = new Redis(options.url, {
      commandTimeout: commandTimeoutMs,
      connectTimeout: 2_000,
      // Without a connection a command fails at once, rather than to wait for one.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: (times) => Math.min(times * 100, largestReconnectDelayMs),
    });
    let reported = false;
    this.#redis.on("ready", () => {
      reported = false;
    });
    this.#redis.on("error", (error) => {
      if (!reported) options.logger.warn({ err: error }, "Redis is away; bundles are read without it");
      reported = true;
    });
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
