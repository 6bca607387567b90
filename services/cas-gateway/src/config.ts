import { commonSettings, setting, type Values } from "@attestry/service-kit";

export const settings = {
  ...commonSettings,
  listen: setting.listen({ env: "CAS_GATEWAY_LISTEN", default: "127.0.0.1:7703", doc: "Address to serve on" }),
  runAddress: setting.address({
    env: "WORKFLOW_RUN_ADDR",
    default: "http://127.0.0.1:7701",
    doc: "Address of workflow-run, asked only for callers with an API token",
  }),
  secretsDir: setting.text({
    env: "CAS_SECRETS_DIR",
    doc: "Folder with the secrets of backends: <organization>/<NAME>.json, and _shared/<NAME>.json for all",
  }),
  storeTimeoutMs: setting.milliseconds({
    env: "CAS_STORE_TIMEOUT",
    default: 30_000,
    doc: "How long one request to an object store may take until its answer begins",
  }),
  idleTimeoutMs: setting.milliseconds({
    env: "CAS_IDLE_TIMEOUT",
    default: 60_000,
    doc: "How long a client may be silent in the middle of a write",
  }),
};

export type Config = Values<typeof settings>;
