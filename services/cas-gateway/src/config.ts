import { chainloopSetting, commonSettings, deletesSetting, setting, type Values } from "@attestry/service-kit";

export const settings = {
  ...commonSettings,
  listen: setting.listen({ env: "CAS_GATEWAY_LISTEN", default: "127.0.0.1:7703", doc: "Address to serve on" }),
  runAddress: setting.address({
    env: "WORKFLOW_RUN_ADDR",
    default: "http://127.0.0.1:7701",
    doc: "Address of workflow-run, asked only for callers with an API token",
  }),
  ingestAddress: setting.optionalText({
    env: "ATTESTATION_INGEST_ADDR",
    doc: "Address of attestation-ingest, asked only by the scrubber for the bundles that ought to be there; unset: it looks for corrupt blobs alone",
  }),
  role: setting.oneOf(["all", "api", "scrubber"], {
    env: "CAS_GATEWAY_ROLE",
    default: "all",
    doc: "Whether this process proves what is stored and removes materials past at_most, time after time: all and scrubber do, api does not; calls are answered in every role",
  }),
  secretsDir: setting.text({
    env: "CAS_SECRETS_DIR",
    doc: "Folder with the secrets of backends: <organization>/<NAME>.json, and _shared/<NAME>.json for all",
  }),
  storeTimeoutMs: setting.milliseconds({
    env: "CAS_STORE_TIMEOUT",
    default: 30_000,
    doc: "How long one request to an object store may take, until its answer is there whole; a read of a blob only until its answer begins",
  }),
  idleTimeoutMs: setting.milliseconds({
    env: "CAS_IDLE_TIMEOUT",
    default: 60_000,
    doc: "How long a client may be silent in the middle of a write, or take nothing in the middle of a read",
  }),
  uploadRetentionMs: setting.milliseconds({
    env: "CAS_UPLOAD_RETENTION",
    default: 24 * 3_600_000,
    doc: "How long an upload that broke off can be gone on with; after that its parts are removed",
  }),
  scrubBytesPerSecond: setting.integer({
    env: "CAS_SCRUB_RATE",
    default: 16 * 1024 * 1024,
    min: 1,
    doc: "Bytes that the scrubber reads in a second at most",
  }),
  scrubPeriodMs: setting.milliseconds({
    env: "CAS_SCRUB_PERIOD",
    default: 7 * 24 * 3_600_000,
    doc: "How long after the beginning of one pass over a backend the scrubber begins the next",
  }),
  deletes: deletesSetting,
  chainloopCompat: chainloopSetting,
  retentionEveryMs: setting.milliseconds({
    env: "CAS_GATEWAY_RETENTION_EVERY",
    default: 3_600_000,
    doc: "How often materials past their organization's at_most are looked for",
  }),
  retentionGraceMs: setting.milliseconds({
    env: "CAS_GATEWAY_RETENTION_GRACE",
    default: 7 * 24 * 3_600_000,
    doc: "How long materials past at_most are out of sight before they are removed for good; until then raising at_most brings them back; a process removes from one CAS_GATEWAY_RETENTION_EVERY after its start on",
  }),
};

export type Config = Values<typeof settings>;
