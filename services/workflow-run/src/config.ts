import { commonSettings, setting, type Values } from "@attestry/service-kit";

/** Every setting of workflow-run. */
export const settings = {
  ...commonSettings,
  listen: setting.listen({ env: "WORKFLOW_RUN_LISTEN", default: "127.0.0.1:7701", doc: "Address to serve on" }),
  databaseUrl: setting.text({
    env: "WORKFLOW_RUN_DATABASE_URL",
    default: "postgresql://postgres@127.0.0.1:5432/workflow_run",
    doc: "PostgreSQL database of this service",
    secret: true,
  }),
  databaseConnections: setting.integer({
    env: "WORKFLOW_RUN_DATABASE_CONNECTIONS",
    default: 10,
    min: 2,
    max: 1_000,
    doc: "Connections to the database that one process opens at most",
  }),
  casAddress: setting.address({
    env: "CAS_GATEWAY_ADDR",
    default: "http://127.0.0.1:7703",
    doc: "Address of cas-gateway, which validates backends",
  }),
  casPublicUrl: setting.optionalUrl({
    env: "CAS_GATEWAY_PUBLIC_URL",
    doc: "Where clients and browsers reach cas-gateway, for download links; unset: no links are given",
  }),
  runExpiryMs: setting.milliseconds({
    env: "RUN_EXPIRY",
    default: 3_600_000,
    doc: "Age at which a run that has not ended expires",
  }),
  expirerIntervalMs: setting.milliseconds({
    env: "RUN_EXPIRY_INTERVAL",
    default: 60_000,
    doc: "Time between two looks for runs to expire",
  }),
  revalidationMs: setting.milliseconds({
    env: "BACKEND_REVALIDATION",
    default: 300_000,
    doc: "Time after which a backend is validated again in the background",
  }),
  validationTimeoutMs: setting.milliseconds({
    env: "BACKEND_VALIDATION_TIMEOUT",
    default: 10_000,
    doc: "Longest that one validation of a backend may take",
  }),
  privateIssuers: setting.flag({
    env: "FEDERATION_PRIVATE_ISSUERS",
    default: false,
    doc: "Whether issuers of federation rules may be at private and loopback addresses, at loopback over plain http",
  }),
  signingCaCertFile: setting.optionalText({
    env: "SIGNING_CA_CERT_FILE",
    doc: "PEM file of the signing authority: its certificate, then those up to its root; taken up anew when it changes; unset: no certificates are issued (docs/signing.md)",
  }),
  signingCaKeyFile: setting.optionalText({
    env: "SIGNING_CA_KEY_FILE",
    doc: "PEM file of that authority's private key",
  }),
};

export type Config = Values<typeof settings>;

/** Of the subcommand `bootstrap`: what it makes where it is not there. */
export const bootstrapSettings = {
  organization: setting.text({
    env: "WORKFLOW_RUN_BOOTSTRAP_ORGANIZATION",
    default: "default",
    doc: "Name of the first organization",
  }),
  backend: setting.optionalText({
    env: "WORKFLOW_RUN_BOOTSTRAP_BACKEND",
    doc: "Name of its default backend; unset: the inline one that every organization has",
  }),
  provider: setting.oneOf(["s3", "filesystem"], {
    env: "WORKFLOW_RUN_BOOTSTRAP_PROVIDER",
    default: "s3",
    doc: "Provider of that backend",
  }),
  secretRef: setting.text({
    env: "WORKFLOW_RUN_BOOTSTRAP_SECRET_REF",
    default: "_shared/default",
    doc: "Secret reference of that backend",
  }),
  tokenFile: setting.optionalText({
    env: "WORKFLOW_RUN_BOOTSTRAP_TOKEN_FILE",
    doc: "File to write the first token to, readable by its owner alone; unset: standard output",
  }),
};
