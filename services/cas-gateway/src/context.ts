import { TokenService } from "@attestry/api/run";
import {
  type Authenticator,
  createAuthenticator,
  type Keyring,
  type Logger,
  Revocations,
  reportTokenUses,
  TokenUses,
} from "@attestry/service-kit";
import { createClient, type Transport } from "@connectrpc/connect";
import type { Registry } from "prom-client";
import { BackendPool } from "./backends/backend-pool.ts";
import { Proofs } from "./blobs/proofs.ts";
import { type ResourceNames, reapiNames } from "./blobs/resource-name.ts";
import { StoredBlobs } from "./blobs/stored-blobs.ts";
import { Suspects } from "./blobs/suspects.ts";
import { Callers } from "./callers/callers.ts";
import { chainloopNames } from "./chainloop/names.ts";
import type { Config } from "./config.ts";
import { MaterialAudit } from "./retention/audit.ts";
import { MaterialSweeper } from "./retention/material-sweeper.ts";
import { createRetentionTelemetry } from "./retention/telemetry.ts";
import { Organizations } from "./scrub/organizations.ts";
import { References } from "./scrub/references.ts";
import { Scrubber } from "./scrub/scrubber.ts";
import { createScrubTelemetry } from "./scrub/telemetry.ts";
import { Secrets } from "./secrets/secrets.ts";
import { createTelemetry, type Telemetry } from "./telemetry.ts";
import { UploadSweeper } from "./uploads/upload-sweeper.ts";

export interface Dependencies {
  keyring: Keyring;
  logger: Logger;
  /** To workflow-run. */
  run: Transport;
  /** To attestation-ingest, which alone knows what bundles there ought to be; undefined: nobody is asked. */
  ingest?: Transport | undefined;
  metrics: Registry;
}

/** Everything that the routes use, wired once. */
export interface Context {
  config: Pick<Config, "chainloopCompat" | "idleTimeoutMs" | "leastBytesPerSecond">;
  logger: Logger;
  authenticator: Authenticator;
  revocations: Revocations;
  tokenUses: TokenUses;
  callers: Callers;
  backends: BackendPool;
  names: ResourceNames;
  blobs: StoredBlobs;
  suspects: Suspects;
  proofs: Proofs;
  telemetry: Telemetry;
  /** Undefined: another process does its work. */
  scrubber: Scrubber | undefined;
  sweeper: UploadSweeper;
  /** Undefined: another process does its work, or none may. */
  materials: MaterialSweeper | undefined;
}

export type ContextConfig = Pick<
  Config,
  | "chainloopCompat"
  | "deletes"
  | "idleTimeoutMs"
  | "leastBytesPerSecond"
  | "retentionEveryMs"
  | "retentionGraceMs"
  | "role"
  | "scrubBytesPerSecond"
  | "scrubPeriodMs"
  | "secretsDir"
  | "storeTimeoutMs"
  | "uploadRetentionMs"
>;

export function createContext(config: ContextConfig, { keyring, logger, run, ingest, metrics }: Dependencies): Context {
  const tokens = createClient(TokenService, run);
  const revocations = new Revocations({
    logger,
    fetch: (cursor, signal) => tokens.listRevoked({ cursor }, { signal }),
  });
  const tokenUses = new TokenUses({ report: reportTokenUses(run), logger });
  const backends = new BackendPool({
    secrets: new Secrets(config.secretsDir),
    requestTimeoutMs: config.storeTimeoutMs,
    uploadRetentionMs: config.uploadRetentionMs,
  });
  const telemetry = createTelemetry(metrics);
  const suspects = new Suspects();
  const proofs = new Proofs({ suspects, telemetry });
  const organizations = new Organizations({ run, keyring });
  const materials = new MaterialSweeper({
    ...{ organizations, backends, logger, config },
    audit: new MaterialAudit(run),
    telemetry: createRetentionTelemetry(metrics),
  });
  const scrubber = new Scrubber({
    ...{ organizations, backends, proofs, logger, config },
    references: ingest && new References({ ingest, logger }),
    telemetry: createScrubTelemetry(metrics),
    uploads: telemetry,
  });
  return {
    config,
    logger,
    authenticator: createAuthenticator({ keyring, revocations, uses: tokenUses }),
    revocations,
    tokenUses,
    callers: new Callers({ run, keyring }),
    backends,
    names: config.chainloopCompat ? chainloopNames : reapiNames,
    blobs: new StoredBlobs(backends, { suspects, proofs }),
    suspects,
    proofs,
    telemetry,
    scrubber: config.role === "api" ? undefined : scrubber,
    materials: config.role === "api" || !config.deletes ? undefined : materials,
    sweeper: new UploadSweeper({ backends, telemetry, logger, uploadRetentionMs: config.uploadRetentionMs }),
  };
}
