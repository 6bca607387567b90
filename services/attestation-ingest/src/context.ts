import { setTimeout as sleep } from "node:timers/promises";
import { type Authenticator, createAuthenticator, type Keyring, type Logger, Revocations } from "@attestry/service-kit";
import { checkSchema, createPool, plannedOnce } from "@attestry/service-kit/postgres";
import type { Transport } from "@connectrpc/connect";
import { PrismaPg } from "@prisma/adapter-pg";
import type { Registry } from "prom-client";
import { Bundles } from "./cache/bundles.ts";
import { Origin } from "./cache/origin.ts";
import { RedisLevel } from "./cache/redis-level.ts";
import { type ServiceConfig, schemaDir } from "./config.ts";
import { Attestations } from "./db/attestations.ts";
import { PrismaClient } from "./db/client/client.ts";
import { Intents } from "./db/intents.ts";
import { createMarks } from "./db/marks.ts";
import { Uploads } from "./db/uploads.ts";
import { Periodic } from "./periodic.ts";
import { reconcile } from "./reconciler.ts";
import { RunPeer } from "./run-peer.ts";
import { createTelemetry, type Telemetry } from "./telemetry.ts";
import { pruneSpool } from "./uploads/prune.ts";
import { createUploader } from "./uploads/uploader.ts";
import { UploadWorker } from "./uploads/worker.ts";

export interface Dependencies {
  keyring: Keyring;
  logger: Logger;
  metrics: Registry;
  /** To workflow-run. */
  run: Transport;
  /** To cas-gateway. */
  cas: Transport;
}

const readyPollMs = 1_000;

/** What the routes and the background work share. */
export interface Context {
  config: ServiceConfig;
  logger: Logger;
  telemetry: Telemetry;
  authenticator: Authenticator;
  run: RunPeer;
  cas: Transport;
  prisma: PrismaClient;
  attestations: Attestations;
  intents: Intents;
  uploads: Uploads;
  mark: (id: string) => Promise<void>;
  bundles: Bundles;
  /** Resolves when the database can be used. */
  ready: () => Promise<void>;
  start: () => void;
  /** Ends the background work, then closes what was opened. Safe to call twice. */
  destroy: () => Promise<void>;
}

/** Wires everything once. Nothing is connected before it is used. */
export function createContext(
  config: ServiceConfig,
  { keyring, logger, metrics, run: runTransport, cas }: Dependencies,
): Context {
  const telemetry = createTelemetry(metrics);
  const database = { url: config.databaseUrl, logger };
  const others = Math.max(1, Math.floor(config.databaseConnections / 3));
  const hot = createPool({
    ...database,
    applicationName: "attestation-ingest-hot",
    max: config.databaseConnections - others,
    options: plannedOnce,
  });
  const pool = createPool({ ...database, applicationName: "attestation-ingest", max: others });
  const marks = createPool({
    ...database,
    applicationName: "attestation-ingest-marks",
    max: 1,
    options: `-c synchronous_commit=off ${plannedOnce}`,
  });
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
  const run = new RunPeer(runTransport);
  const revocations = new Revocations({ fetch: (cursor, signal) => run.revoked(cursor, signal), logger });

  const attestations = new Attestations({ hot, pool });
  const uploads = new Uploads(pool);
  const mark = createMarks(marks);
  const redis =
    config.redisUrl === undefined
      ? undefined
      : new RedisLevel({
          url: config.redisUrl,
          ttlMs: config.redisTtlMs,
          maxEntryBytes: config.redisMaxEntryBytes,
          telemetry,
          logger,
        });
  const origin = new Origin({ attestations, run, cas, telemetry, logger });
  const bundles = new Bundles({ cacheBytes: config.cacheBytes, redis, origin, telemetry });

  const reconciler = new Periodic(
    config.reconcileMs,
    (signal) => reconcile({ run, attestations, mark, telemetry, logger }, config.reconcileAfterMs, signal),
    (error) =>
      logger.warn({ err: error }, "unfinished attestations could not be reconciled; the next round tries again"),
  );
  const worker = new UploadWorker({
    uploads,
    uploader: createUploader({ origin, run, cas }),
    telemetry,
    logger,
    config,
  });
  const pruner = new Periodic(
    config.spoolPruneMs,
    (signal) => pruneSpool({ attestations, telemetry }, config.spoolGraceMs, signal),
    (error) => logger.warn({ err: error }, "spooled rows could not be pruned"),
  );
  const background = [reconciler, ...(config.role === "api" ? [] : [worker, pruner])];

  let schemaChecked = false;
  async function ready(): Promise<void> {
    if (!schemaChecked) await checkSchema(pool, schemaDir);
    schemaChecked = true;
    await pool.query("select 1");
  }

  const stopping = new AbortController();
  let starting: Promise<void> | undefined;
  /** Background work begins once the database has the schema of this build, however long that takes. */
  async function startBackground(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const fault = await ready().then(
        () => undefined,
        (error: unknown) => error ?? "unknown",
      );
      if (fault === undefined) break;
      logger.warn({ err: fault }, "the database cannot be used yet");
      await sleep(readyPollMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
    if (signal.aborted) return;
    for (const work of background) work.start();
  }
  function start(): void {
    revocations.start();
    starting ??= startBackground(stopping.signal);
  }

  let destroyed: Promise<void> | undefined;
  async function destroy(): Promise<void> {
    stopping.abort();
    await starting;
    await Promise.all([revocations, ...background].map((work) => work.destroy()));
    redis?.destroy();
    await prisma.$disconnect();
    await Promise.all([hot.end(), pool.end(), marks.end()]);
  }

  return {
    config,
    logger,
    telemetry,
    authenticator: createAuthenticator({ keyring, revocations }),
    run,
    cas,
    prisma,
    attestations,
    intents: new Intents(pool),
    uploads,
    mark,
    bundles,
    ready,
    start,
    destroy: () => {
      destroyed ??= destroy();
      return destroyed;
    },
  };
}
