import { TokenService } from "@attestry/api/run";
import { type Authenticator, createAuthenticator, type Keyring, type Logger, Revocations } from "@attestry/service-kit";
import { createClient, type Transport } from "@connectrpc/connect";
import type { Registry } from "prom-client";
import { BackendPool } from "./backends/backend-pool.ts";
import { StoredBlobs } from "./blobs/stored-blobs.ts";
import { Suspects } from "./blobs/suspects.ts";
import { Callers } from "./callers/callers.ts";
import type { Config } from "./config.ts";
import { Secrets } from "./secrets/secrets.ts";
import { createTelemetry, type Telemetry } from "./telemetry.ts";

export interface Dependencies {
  keyring: Keyring;
  logger: Logger;
  /** To workflow-run. */
  run: Transport;
  metrics: Registry;
}

/** Everything that the routes use, wired once. */
export interface Context {
  config: Pick<Config, "idleTimeoutMs">;
  logger: Logger;
  authenticator: Authenticator;
  revocations: Revocations;
  callers: Callers;
  backends: BackendPool;
  blobs: StoredBlobs;
  suspects: Suspects;
  telemetry: Telemetry;
}

export type ContextConfig = Pick<Config, "idleTimeoutMs" | "secretsDir" | "storeTimeoutMs">;

export function createContext(config: ContextConfig, { keyring, logger, run, metrics }: Dependencies): Context {
  const tokens = createClient(TokenService, run);
  const revocations = new Revocations({
    logger,
    fetch: (cursor, signal) => tokens.listRevoked({ cursor }, { signal }),
  });
  const backends = new BackendPool({
    secrets: new Secrets(config.secretsDir),
    requestTimeoutMs: config.storeTimeoutMs,
  });
  const suspects = new Suspects();
  return {
    config,
    logger,
    authenticator: createAuthenticator({ keyring, revocations }),
    revocations,
    callers: new Callers({ run, keyring }),
    backends,
    blobs: new StoredBlobs(backends, suspects),
    suspects,
    telemetry: createTelemetry(metrics),
  };
}
