import path from "node:path";
import { type MinioAccess, startMinio } from "../minio.ts";
import { startTestPostgres } from "../postgres.ts";
import { startRedis } from "../redis.ts";
import { createTestDatabase, testMinio, testRedis } from "../test-servers.ts";
import { type Replaceable, replaceable } from "./replaceable.ts";

/** PostgreSQL is one for both services, or one for each. */
export type ServerName = "postgres" | "postgres-run" | "postgres-ingest" | "redis" | "minio";

/** What a constellation stands on. */
export interface Servers {
  readonly runDatabase: string;
  readonly ingestDatabase: string;
  readonly redis?: string;
  readonly minio?: MinioAccess;
  /** Those that are its own, and so may be killed. */
  readonly own: Partial<Record<ServerName, Replaceable>>;
  stop(): Promise<void>;
}

export interface ServerNeeds {
  /** Folder of the data of servers of its own. */
  dir: string;
  detached: boolean;
  /** A PostgreSQL for each service. */
  postgresOfEach: boolean;
  redis: boolean;
  minio: boolean;
}

/** A share of the servers of the whole test run: databases of its own, the rest told apart by organization. */
export async function shareServers({ redis, minio }: ServerNeeds): Promise<Servers> {
  const [run, ingest] = await Promise.all([createTestDatabase(), createTestDatabase()]);
  return {
    runDatabase: run.url,
    ingestDatabase: ingest.url,
    ...(redis && { redis: testRedis() }),
    ...(minio && { minio: testMinio() }),
    own: {},
    stop: async () => {
      await Promise.all([run.drop(), ingest.drop()]);
    },
  };
}

/** Servers of its own. PostgreSQL waits for the disk, as in production. */
export async function startServers(needs: ServerNeeds): Promise<Servers> {
  await using started = new AsyncDisposableStack();
  const own: Partial<Record<ServerName, Replaceable>> = {};
  const add = (name: ServerName, server: Replaceable) => {
    own[name] = server;
    started.defer(() => server.stop());
  };

  const startPostgres = async (name: ServerName) => {
    const postgres = await replaceable((before?: { port: number }) =>
      startTestPostgres({
        dir: path.join(needs.dir, name),
        durable: true,
        detached: needs.detached,
        ...samePort(before),
      }),
    );
    add(name, postgres);
    return postgres.current;
  };
  const ofRun = await startPostgres(needs.postgresOfEach ? "postgres-run" : "postgres");
  const ofIngest = needs.postgresOfEach ? await startPostgres("postgres-ingest") : ofRun;
  const redis = needs.redis
    ? await replaceable((before?: { port: number }) => startRedis({ detached: needs.detached, ...samePort(before) }))
    : undefined;
  if (redis !== undefined) add("redis", redis);
  const minio = needs.minio ? await startOwnMinio(needs) : undefined;
  if (minio !== undefined) add("minio", minio);

  const runDatabase = await ofRun.ensureDatabase("workflow_run");
  const ingestDatabase = await ofIngest.ensureDatabase("attestation_ingest");
  const owned = started.move();
  return {
    runDatabase,
    ingestDatabase,
    ...(redis && { redis: redis.current.url }),
    ...(minio && { minio: minio.current }),
    own,
    stop: () => owned.disposeAsync(),
  };
}

function startOwnMinio({ dir, detached }: ServerNeeds) {
  // Its credentials are those of the secret file, so they stay the same; it listens on loopback only.
  const access = { dir: path.join(dir, "minio"), accessKey: "attestry", secretKey: "attestry-on-loopback", detached };
  return replaceable((before?: { port: number }) => startMinio({ ...access, ...samePort(before) }));
}

function samePort(before: { port: number } | undefined): { port?: number } {
  return before === undefined ? {} : { port: before.port };
}
