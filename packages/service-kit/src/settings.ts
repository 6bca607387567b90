import { transportSettings } from "./server/settings.ts";
import { setting } from "./setting.ts";

/** Settings that each service has. */
export const commonSettings = {
  ...transportSettings,
  logLevel: setting.oneOf(["debug", "info", "warn", "error", "silent"], {
    env: "LOG_LEVEL",
    default: "info",
    doc: "Least severe level that is logged",
  }),
  signingKeyFile: setting.text({
    env: "ATTESTRY_SIGNING_KEY_FILE",
    doc: "File with this service's private Ed25519 key as a JWK",
  }),
  jwksFile: setting.text({ env: "ATTESTRY_JWKS_FILE", doc: "File with the public keys of all services as a JWK set" }),
  drainMs: setting.milliseconds({
    env: "SHUTDOWN_DRAIN",
    default: 2_000,
    doc: "How long a process that was told to end still takes calls while it says that it is not ready, so that whatever spreads calls over replicas sees it; after that, calls under way have 10 s",
  }),
};

/** Of the services that the chainloop command line talks to. */
export const chainloopSetting = setting.flag({
  env: "CHAINLOOP_COMPAT",
  default: false,
  doc: "true: serve the chainloop command line as well (docs/chainloop.md); standalone does so unless it is false",
});

/** Of the services that delete what is past its retention. */
export const deletesSetting = setting.flag({
  env: "RETENTION_DELETES",
  default: true,
  doc: "false: attestation-ingest hides and deletes no attestation and no blob, cas-gateway no material; for a restored copy whose stores another server may still use (docs/backup.md)",
});
