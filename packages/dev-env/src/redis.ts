import { connect } from "node:net";
import { freePort } from "@attestry/standalone/postgres";
import { Redis } from "ioredis";
import { findProgram, howToGet } from "./programs.ts";
import { type Spawned, spawnServer } from "./spawned.ts";

export interface RedisServer extends Spawned {
  readonly url: string;
  readonly port: number;
}

export interface RedisOptions {
  port?: number;
  detached?: boolean;
  /** That clients have to give; none, if not given. */
  password?: string;
}

/** Starts a Redis that keeps nothing on disk, on 127.0.0.1. Throws if the machine has none. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const command = findProgram("redis");
  if (command === undefined) throw new Error(`no redis-server here: ${howToGet("redis")}`);
  const port = options.port ?? (await freePort());
  const args = ["--bind", "127.0.0.1", "--port", String(port), "--save", "", "--appendonly", "no"];
  args.push("--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru");
  if (options.password !== undefined) args.push("--requirepass", options.password);
  const spawned = await spawnServer({
    name: "Redis",
    command,
    args,
    detached: options.detached,
    isReady: () => answersPing(port),
  });
  return {
    ...spawned,
    port,
    url: `redis://${options.password === undefined ? "" : `:${options.password}@`}127.0.0.1:${port}`,
  };
}

/** FLUSHALL: forgets all that it has. */
export async function wipeRedis(url: string): Promise<void> {
  const redis = new Redis(url);
  try {
    await redis.flushall();
  } finally {
    redis.disconnect();
  }
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const answer = (good: boolean) => {
      socket.destroy();
      resolve(good);
    };
    socket.setTimeout(2_000, () => answer(false));
    socket.once("error", () => answer(false));
    socket.once("connect", () => socket.write("PING\r\n"));
    socket.once("data", (data) => answer(/^(\+PONG|-NOAUTH)/.test(data.toString())));
  });
}
