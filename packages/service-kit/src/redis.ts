import { Redis } from "ioredis";
import type { Logger } from "./observe/logger.ts";

export interface RedisOptions {
  /** redis://HOST:PORT/NUMBER. */
  url: string;
  /** What is said once each time that it goes away. */
  whenAway: string;
  logger: Logger;
}

/** A command to a server that says nothing costs this much. */
const commandTimeoutMs = 250;
const connectTimeoutMs = 2_000;
const largestReconnectDelayMs = 5_000;

/** A Redis that only saves work: without a connection a command fails at once, rather than to wait for one. */
export function connectRedis({ url, whenAway, logger }: RedisOptions): Redis {
  const redis = new Redis(url, {
    commandTimeout: commandTimeoutMs,
    connectTimeout: connectTimeoutMs,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => Math.min(times * 100, largestReconnectDelayMs),
  });
  let reported = false;
  redis.on("ready", () => {
    reported = false;
  });
  redis.on("error", (error) => {
    if (!reported) logger.warn({ err: error }, whenAway);
    reported = true;
  });
  return redis;
}
