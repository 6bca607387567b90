import { lstat, mkdtemp, readdir, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { startMinio } from "../minio.ts";
import { startTestPostgres } from "../postgres.ts";
import { findProgram } from "../programs.ts";
import { startRedis } from "../redis.ts";
import { publishTestServers } from "../test-servers.ts";
import { setTeardown } from "./teardown-state.ts";

const prefix = "attestry-test-";
/** Longer than any test run, in milliseconds. */
const leftAfterMs = 86_400_000;

/** Starts the servers that all test files share: one PostgreSQL, and one Redis and MinIO where the machine has them. */
export default async function globalSetup(): Promise<void> {
  await sweep();
  const dir = await mkdtemp(path.join(os.tmpdir(), prefix));
  // Exiting runs the handlers that end the servers; a signal alone would not.
  const exit = () => process.exit(130);
  process.once("SIGINT", exit).once("SIGTERM", exit).once("SIGHUP", exit);

  const [postgres, redis, minio] = await Promise.all([
    startTestPostgres({ dir: path.join(dir, "postgres") }),
    findProgram("redis") === undefined ? undefined : startRedis(),
    findProgram("minio") === undefined ? undefined : startMinio({ dir: path.join(dir, "minio") }),
  ]);
  const access = minio && {
    endpoint: minio.endpoint,
    port: minio.port,
    region: minio.region,
    accessKey: minio.accessKey,
    secretKey: minio.secretKey,
  };
  publishTestServers({
    postgres: postgres.url("postgres"),
    ...(redis && { redis: redis.url }),
    ...(access && { minio: access }),
  });

  setTeardown(async () => {
    await Promise.all([postgres.stop(), redis?.stop(), minio?.stop()]);
    await rm(dir, { recursive: true, force: true });
    process.off("SIGINT", exit).off("SIGTERM", exit).off("SIGHUP", exit);
  });
}

/** Removes what killed test runs of this user left. */
async function sweep(): Promise<void> {
  for (const name of await readdir(os.tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const folder = path.join(os.tmpdir(), name);
    const found = await lstat(folder).catch(() => undefined);
    const mine = found?.isDirectory() === true && found.uid === process.getuid?.();
    if (mine && Date.now() - found.mtimeMs > leftAfterMs) await rm(folder, { recursive: true, force: true });
  }
}
