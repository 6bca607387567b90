import { fileURLToPath } from "node:url";
import { DEFAULT_LIMITS } from "@attestry/bundle";
import { chainloopSetting, commonSettings, deletesSetting, setting, type Values } from "@attestry/service-kit";

/** Folder with schema.prisma and migrations/. */
export const schemaDir = fileURLToPath(new URL("../prisma", import.meta.url));

/** What the service needs to know, however it is run. */
export const serviceSettings = {
  databaseUrl: setting.text({
    env: "ATTESTATION_INGEST_DATABASE_URL",
    default: "postgres://postgres@127.0.0.1:5432/attestation_ingest",
    doc: "Its own PostgreSQL database, postgres://USER:PASSWORD@HOST:PORT/DATABASE",
    secret: true,
  }),
  databaseConnections: setting.integer({
    env: "ATTESTATION_INGEST_DATABASE_CONNECTIONS",
    default: 20,
    min: 2,
    doc: "Connections to the database at most, beside one for the visible marks",
  }),
  role: setting.oneOf(["all", "api", "worker"], {
    env: "ATTESTATION_INGEST_ROLE",
    default: "all",
    doc: "api answers calls; worker uploads, and hides and deletes what is past its organization's retention, with its blobs; all does both",
  }),
  skipDatabase: setting.oneOf(["false", "true", "spool"], {
    env: "ATTESTATIONS_SKIP_DB_STORAGE",
    default: "false",
    doc: "For external backends: keep bundles in the database too (false), only in the backend before Store answers (true), or in the database until they are uploaded (spool)",
  }),
  casDeadlineMs: setting.milliseconds({
    env: "ATTESTATION_INGEST_CAS_DEADLINE",
    default: 60_000,
    doc: "Time that Store gives an upload before it answers; the client's own deadline, if sooner",
  }),
  verifyThreads: setting.integer({
    env: "ATTESTATION_INGEST_VERIFY_THREADS",
    default: 2,
    min: 1,
    max: 64,
    doc: "Threads that verify signatures at the mode trusted, and read bundles of more than 64 KiB",
  }),
  cacheBytes: setting.integer({
    env: "ATTESTATION_INGEST_CACHE_BYTES",
    default: 256 * 1024 * 1024,
    min: 1,
    doc: "Bundles kept in the process, in bytes",
  }),
  redisUrl: commonSettings.redisUrl,
  redisTtlMs: setting.milliseconds({
    env: "ATTESTATION_INGEST_REDIS_TTL",
    default: 3_600_000,
    doc: "How long Redis keeps a bundle",
  }),
  redisMaxEntryBytes: setting.integer({
    env: "ATTESTATION_INGEST_REDIS_MAX_ENTRY_BYTES",
    default: 1024 * 1024,
    doc: "Largest bundle that Redis is given, in bytes",
  }),
  maxJsonDepth: setting.integer({
    env: "ATTESTATION_INGEST_MAX_JSON_DEPTH",
    default: DEFAULT_LIMITS.jsonDepth,
    min: 10,
    max: 10_000,
    doc: "How deeply objects and arrays of a bundle or statement may stand in each other",
  }),
  maxSignatures: setting.integer({
    env: "ATTESTATION_INGEST_MAX_SIGNATURES",
    default: DEFAULT_LIMITS.signatures,
    min: 1,
    max: 10_000,
    doc: "Signatures of one bundle",
  }),
  maxSubjects: setting.integer({
    env: "ATTESTATION_INGEST_MAX_SUBJECTS",
    default: DEFAULT_LIMITS.subjects,
    min: 1,
    max: 1_000_000,
    doc: "Digests of the subjects of one bundle, all together",
  }),
  maxTextCharacters: setting.integer({
    env: "ATTESTATION_INGEST_MAX_TEXT",
    default: DEFAULT_LIMITS.textCharacters,
    min: 512,
    doc: "A subject's name or uri, or a signature's keyid, in characters",
  }),
  uploadConcurrency: setting.integer({
    env: "ATTESTATION_INGEST_UPLOAD_CONCURRENCY",
    default: 16,
    min: 1,
    max: 1_000,
    doc: "Uploads at a time in one worker; each holds one bundle in memory",
  }),
  uploadsPerSecond: setting.integer({
    env: "ATTESTATION_INGEST_UPLOADS_PER_SECOND",
    default: 200,
    min: 1,
    doc: "Uploads that one worker starts in a second, for each backend",
  }),
  uploadLeaseMs: setting.milliseconds({
    env: "ATTESTATION_INGEST_UPLOAD_LEASE",
    default: 45_000,
    doc: "How long an upload stays with a worker that is not heard of; a living one renews it each third of this",
  }),
  uploadGiveUpMs: setting.milliseconds({
    env: "ATTESTATION_INGEST_UPLOAD_GIVE_UP",
    default: 7 * 24 * 3_600_000,
    doc: "How long an upload is tried before it waits for Retry",
  }),
  backendProbeMs: setting.milliseconds({
    env: "ATTESTATION_INGEST_BACKEND_PROBE",
    default: 15_000,
    doc: "How often a backend that failed three times in a row is tried: one upload in this time, from all workers together",
  }),
  spoolGraceMs: setting.milliseconds({
    env: "ATTESTATION_INGEST_SPOOL_GRACE",
    default: 60_000,
    doc: "How long the database keeps a spooled bundle after its upload was confirmed",
  }),
  spoolPruneMs: setting.milliseconds({
    env: "ATTESTATION_INGEST_SPOOL_PRUNE",
    default: 5_000,
    doc: "How often spooled bundles that may leave the database are looked for",
  }),
  reconcileMs: setting.milliseconds({
    env: "ATTESTATION_INGEST_RECONCILE",
    default: 5_000,
    doc: "How often attestations whose Store did not finish are looked for",
  }),
  reconcileAfterMs: setting.milliseconds({
    env: "ATTESTATION_INGEST_RECONCILE_AFTER",
    default: 10_000,
    doc: "How long an unfinished attestation is left to its Store",
  }),
  chainloopCompat: chainloopSetting,
  deletes: deletesSetting,
  retentionEveryMs: setting.milliseconds({
    env: "ATTESTATION_INGEST_RETENTION_EVERY",
    default: 3_600_000,
    doc: "How often a worker looks for attestations that are past their organization's retention",
  }),
  retentionGraceMs: setting.milliseconds({
    env: "ATTESTATION_INGEST_RETENTION_GRACE",
    default: 7 * 24 * 3_600_000,
    doc: "How long such an attestation is only hidden, so that a higher at_most brings it back, before it is deleted; a worker deletes from one ATTESTATION_INGEST_RETENTION_EVERY after its start on",
  }),
};

/** Every setting of the service as a process of its own. */
export const settings = {
  ...commonSettings,
  listen: setting.listen({
    env: "ATTESTATION_INGEST_LISTEN",
    default: "127.0.0.1:7702",
    doc: "Address to serve on",
  }),
  runAddress: setting.address({
    env: "WORKFLOW_RUN_ADDR",
    default: "http://127.0.0.1:7701",
    doc: "Address of workflow-run",
  }),
  casAddress: setting.address({
    env: "CAS_GATEWAY_ADDR",
    default: "http://127.0.0.1:7703",
    doc: "Address of cas-gateway",
  }),
  ...serviceSettings,
};

export type ServiceConfig = Values<typeof serviceSettings>;
export type Config = Values<typeof settings>;
