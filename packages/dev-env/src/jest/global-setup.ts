import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { startMinio } from "../minio.ts";
import { startTestPostgres } from "../postgres.ts";
import { findProgram } from "../programs.ts";
import { startRedis } from "../redis.ts";
import { publishTestServers } from "../test-servers.ts";
import { setTeardown } from "./teardown-state.ts";

/** Starts the servers that all test files share: one PostgreSQL, and one Redis and MinIO where the machine has them. */
export default async function globalSetup(): Promise<void> {
  const dir = await mkdtemp(path.join(os.tmpdir(), "attestry-test-"));
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
