import { DEFAULT_LIMITS } from "@attestry/bundle";
import { VerifyPool } from "@attestry/bundle/pool";
import {
  type Authenticator,
  createAuthenticator,
  type Keyring,
  type Logger,
  Periodic,
  Revocations,
  reportTokenUses,
  TokenUses,
} from "@attestry/service-kit";
import { AuditLog } from "@attestry/service-kit/audit";
import { createPool, DatabaseReadiness, plannedOnce } from "@attestry/service-kit/postgres";
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
import { Migrations } from "./db/migrations.ts";
import { type BundleReference, listReferences, type ReferencePage } from "./db/references.ts";
import { RetentionRows } from "./db/retention.ts";
import { UnusedBlobs } from "./db/unused-blobs.ts";
import { Uploads } from "./db/uploads.ts";
import { MissingUploads } from "./missing-uploads.ts";
import { createWarned, reconcile } from "./reconciler.ts";
import { Retention } from "./retention/retention.ts";
import { RunPeer } from "./run-peer.ts";
import { createTelemetry, type Telemetry } from "./telemetry.ts";
import { pruneSpool } from "./uploads/prune.ts";
import { createUploader } from "./uploads/uploader.ts";
import { UploadWorker } from "./uploads/worker.ts";
import { TrustPolicies } from "./verification/trust-policies.ts";
import { Verifier } from "./verification/verifier.ts";

export interface Dependencies {
  keyring: Keyring;
  logger: Logger;
  metrics: Registry;
  /** To workflow-run. */
  run: Transport;
  /** To cas-gateway. */
  cas: Transport;
}

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
  unusedBlobs: UnusedBlobs;
  audit: AuditLog;
  migrations: Migrations;
  uploads: Uploads;
  mark: (id: string) => Promise<void>;
  bundles: Bundles;
  verifier: Verifier;
  /** Which bundles a backend must have. */
  references: (page: ReferencePage) => Promise<BundleReference[]>;
  /** Resolves when the database can be used. */
  ready: () => Promise<void>;
  start: () => void;
  /** Ends the background work, then closes what was opened. Safe to call twice. */
  destroy: () => Promise<void>;
}

/** Of bundles that wait for a thread which reads and verifies them. */
const mostWaitingBytes = 256 * 1024 * 1024;

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
  const tokenUses = new TokenUses({ report: reportTokenUses(runTransport), logger });

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

  const limits = {
    ...DEFAULT_LIMITS,
    jsonDepth: config.maxJsonDepth,
    signatures: config.maxSignatures,
    subjects: config.maxSubjects,
    textCharacters: config.maxTextCharacters,
  };
  const verifyPool = new VerifyPool({ threads: config.verifyThreads, queueBytes: mostWaitingBytes, limits });
  const verifier = new Verifier({ pool: verifyPool, limits, policies: new TrustPolicies(run), telemetry });

  const unfinished = { run, attestations, mark, telemetry, logger, warned: createWarned() };
  const reconciler = new Periodic({
    name: "the reconciler of attestations",
    intervalMs: config.reconcileMs,
    work: (signal) => reconcile(unfinished, config.reconcileAfterMs, signal),
    logger,
  });
  const missingUploads = new MissingUploads({ pool, telemetry });
  const requeuer = new Periodic({
    name: "the search for missing uploads",
    intervalMs: config.reconcileMs,
    work: () => missingUploads.round(),
    logger,
  });
  const worker = new UploadWorker({
    uploads,
    uploader: createUploader({ origin, run, cas }),
    telemetry,
    logger,
    config,
  });
  const pruner = new Periodic({
    name: "the pruning of spooled rows",
    intervalMs: config.spoolPruneMs,
    work: (signal) => pruneSpool({ attestations, telemetry }, config.spoolGraceMs, signal),
    logger,
  });
  const unusedBlobs = new UnusedBlobs(pool);
  const retention = new Retention({
    run,
    cas,
    rows: new RetentionRows(pool),
    unusedBlobs,
    telemetry,
    logger,
    graceMs: config.retentionGraceMs,
    deletes: config.deletes,
    waitMs: config.retentionEveryMs,
  });
  const expirer = new Periodic({
    name: "the retention of attestations",
    intervalMs: config.retentionEveryMs,
    work: (signal) => retention.round(signal),
    logger,
  });
  const background = [reconciler, requeuer, ...(config.role === "api" ? [] : [worker, pruner, expirer])];

  const readiness = new DatabaseReadiness({ pool, schemaDir, logger });
  const stopping = new AbortController();
  let starting: Promise<void> | undefined;
  /** Background work begins once the database has the schema of this build, however long that takes. */
  async function startBackground({ signal }: AbortController): Promise<void> {
    await readiness.wait(signal);
    if (signal.aborted) return;
    for (const work of background) work.start();
  }
  function start(): void {
    revocations.start();
    tokenUses.start();
    starting ??= startBackground(stopping);
  }

  let destroyed: Promise<void> | undefined;
  async function destroy(): Promise<void> {
    stopping.abort();
    await starting;
    await Promise.all([revocations, tokenUses, ...background].map((work) => work.destroy()));
    await verifyPool.close();
    redis?.destroy();
    await prisma.$disconnect();
    await Promise.all([hot.end(), pool.end(), marks.end()]);
  }

  return {
    config,
    logger,
    telemetry,
    authenticator: createAuthenticator({ keyring, revocations, uses: tokenUses }),
    run,
    cas,
    prisma,
    attestations,
    intents: new Intents(pool),
    unusedBlobs,
    audit: new AuditLog(pool),
    migrations: new Migrations(pool),
    uploads,
    mark,
    bundles,
    verifier,
    references: (page) => listReferences(pool, page),
    ready: () => readiness.check(),
    start,
    destroy: () => {
      destroyed ??= destroy();
      return destroyed;
    },
  };
}
