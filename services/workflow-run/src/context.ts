import {
  type Authenticator,
  createAuthenticator,
  type Keyring,
  type Logger,
  Periodic,
  Revocations,
} from "@attestry/service-kit";
import { AuditLog } from "@attestry/service-kit/audit";
import type { Transport } from "@connectrpc/connect";
import type { Registry } from "prom-client";
import { DownloadLinks } from "./backends/download-links.ts";
import { createGatewayProbe } from "./backends/gateway-probe.ts";
import { BackendValidator } from "./backends/validator.ts";
import type { Config } from "./config.ts";
import { BackendStore } from "./db/backend-store.ts";
import { type Database, openDatabase } from "./db/database.ts";
import { OrganizationStore } from "./db/organization-store.ts";
import { RunStore } from "./db/run-store.ts";
import { TokenStore } from "./db/token-store.ts";
import { TrustStore } from "./db/trust-store.ts";
import { WorkflowStore } from "./db/workflow-store.ts";
import { expireRuns } from "./runs/expirer.ts";
import { Telemetry } from "./telemetry.ts";

export interface Dependencies {
  keyring: Keyring;
  logger: Logger;
  metrics: Registry;
  /** To cas-gateway. */
  cas: Transport;
}

/** All that the routes need, made once. */
export interface AppContext {
  config: Config;
  keyring: Keyring;
  logger: Logger;
  telemetry: Telemetry;
  database: Database;
  organizations: OrganizationStore;
  workflows: WorkflowStore;
  runs: RunStore;
  backends: BackendStore;
  tokens: TokenStore;
  trust: TrustStore;
  audit: AuditLog;
  validator: BackendValidator;
  links: DownloadLinks;
  authenticator: Authenticator;
  revocations: Revocations;
  /** Work in the background, to be started and destroyed. */
  background: { start?(): void; destroy(): Promise<void> }[];
}

/** Revoked tokens in one answer. */
export const revokedPageSize = 1_000;
/** Time between two looks for backends that are due, in milliseconds. */
const validationPollMs = 15_000;

export function createContext(config: Config, { keyring, logger, metrics, cas }: Dependencies): AppContext {
  const telemetry = new Telemetry(metrics);
  const database = openDatabase({ url: config.databaseUrl, connections: config.databaseConnections, logger });
  const runs = new RunStore(database, config.runExpiryMs);
  const backends = new BackendStore(database.prisma);
  const tokens = new TokenStore(database.prisma);
  const validator = new BackendValidator({
    store: backends,
    probe: createGatewayProbe(cas, keyring, config.validationTimeoutMs),
    intervalMs: config.revalidationMs,
    timeoutMs: config.validationTimeoutMs,
    logger,
    onResult: (result) => telemetry.backendValidated(result),
  });
  const revocations = new Revocations({ fetch: (cursor) => tokens.listRevoked(cursor, revokedPageSize), logger });
  const expirer = new Periodic({
    name: "the expirer of runs",
    intervalMs: config.expirerIntervalMs,
    work: async (signal) => telemetry.runsEnded("expired", await expireRuns(runs, config.runExpiryMs, signal)),
    logger,
  });
  const revalidation = new Periodic({
    name: "the validation of backends",
    intervalMs: Math.min(validationPollMs, config.revalidationMs),
    work: (signal) => validator.validateDue(signal),
    logger,
  });
  return {
    ...{ config, keyring, logger, telemetry, database, runs, backends, tokens, validator },
    organizations: new OrganizationStore(database.prisma),
    workflows: new WorkflowStore(database.prisma),
    trust: new TrustStore(database.prisma),
    audit: new AuditLog(database.pool),
    links: new DownloadLinks(config.casPublicUrl),
    authenticator: createAuthenticator({ keyring, revocations }),
    revocations,
    background: [expirer, revalidation, validator],
  };
}
