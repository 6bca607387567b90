import { randomBytes } from "node:crypto";
import pg from "pg";
import { ensureBucket, type MinioAccess, type S3Secret } from "./minio.ts";
import type { OptionalServer } from "./programs.ts";

/** The servers that one `npm test` shares, as jest's global setup passes them to the test files. */
export interface TestServers {
  /** URL of the database `postgres`, as the superuser. */
  postgres: string;
  /** Without a database number; undefined if the machine has no Redis. */
  redis?: string;
  minio?: MinioAccess;
}

const variable = "ATTESTRY_TEST_SERVERS";

export function publishTestServers(servers: TestServers): void {
  process.env[variable] = JSON.stringify(servers);
}

export function testServers(): TestServers {
  const value = process.env[variable];
  if (value === undefined)
    throw new Error("the test servers are started by the globalSetup of the root jest.config.mjs");
  return JSON.parse(value) as TestServers;
}

/** Whether this process belongs to a test run, which has servers to share. */
export function hasSharedServers(): boolean {
  return process.env[variable] !== undefined;
}

/** Whether this `npm test` has the server. */
export function hasServer(server: OptionalServer): boolean {
  return testServers()[server] !== undefined;
}

export interface TestDatabase {
  url: string;
  /** Ends all sessions on it and removes it. */
  drop(): Promise<void>;
}

/** An empty database of the shared PostgreSQL, for one suite. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const admin = testServers().postgres;
  const name = uniqueName("test");
  await runAs(admin, `create database ${name}`);
  const url = new URL(admin);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => runAs(admin, `drop database if exists ${name} with (force)`) };
}

async function runAs(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** URL of the shared Redis; each jest worker has a database of its own there. Throws if there is none. */
export function testRedis(): string {
  const { redis } = testServers();
  if (redis === undefined) throw new Error('no Redis in this test run: use describeWith(["redis"], ...)');
  return `${redis}/${Number(process.env.JEST_WORKER_ID ?? "0") % 16}`;
}

/** The shared MinIO. Throws if there is none. */
export function testMinio(): MinioAccess {
  const { minio } = testServers();
  if (minio === undefined) throw new Error('no MinIO in this test run: use describeWith(["minio"], ...)');
  return minio;
}

/** An empty bucket of the shared MinIO, and the secret by which a gateway uses it. Throws if there is no MinIO. */
export function createTestBucket(): Promise<S3Secret> {
  return ensureBucket(testMinio(), uniqueName("test").replaceAll("_", "-"));
}

function uniqueName(prefix: string): string {
  return `${prefix}_${randomBytes(8).toString("hex")}`;
}
