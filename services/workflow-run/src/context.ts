import {
  type Authenticator,
  createAuthenticator,
  type Keyring,
  type Logger,
  Periodic,
  Revocations,
  TokenUses,
} from "@attestry/service-kit";
import { AuditLog } from "@attestry/service-kit/audit";
import type { Transport } from "@connectrpc/connect";
import type { Registry } from "prom-client";
import { DownloadLinks } from "./backends/download-links.ts";
import { createGatewayProbe } from "./backends/gateway-probe.ts";
import { BackendValidator } from "./backends/validator.ts";
import type { Config } from "./config.ts";
import { ContractReader } from "./contracts/contract-reader.ts";
import { BackendStore } from "./db/backend-store.ts";
import { ContractStore } from "./db/contract-store.ts";
import { CraftingStateStore } from "./db/crafting-state-store.ts";
import { type Database, openDatabase } from "./db/database.ts";
import { FederationStore } from "./db/federation-store.ts";
import { OrganizationStore } from "./db/organization-store.ts";
import { ProjectVersionStore } from "./db/project-version-store.ts";
import { RunStore } from "./db/run-store.ts";
import { TokenStore } from "./db/token-store.ts";
import { TrustStore } from "./db/trust-store.ts";
import { WorkflowStore } from "./db/workflow-store.ts";
import { ExchangeCounts } from "./federation/exchange-counts.ts";
import type { IssuerBounds } from "./federation/issuer-address.ts";
import { IssuerDocuments } from "./federation/issuer-documents.ts";
import { IssuerKeys } from "./federation/issuer-keys.ts";
import { IssuerNames } from "./federation/issuer-names.ts";
import { expireRuns } from "./runs/expirer.ts";
import type { WatchedAuthority } from "./signing/watched-authority.ts";
import { Telemetry } from "./telemetry.ts";

export interface Dependencies {
  keyring: Keyring;
  logger: Logger;
  metrics: Registry;
  /** To cas-gateway. */
  cas: Transport;
}

/** What takes a moment to open, or fails. */
export interface Opened {
  signing: WatchedAuthority | undefined;
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
  contracts: ContractStore;
  contractReader: ContractReader;
  projectVersions: ProjectVersionStore;
  runs: RunStore;
  craftingStates: CraftingStateStore;
  backends: BackendStore;
  tokens: TokenStore;
  federation: FederationStore;
  issuerBounds: IssuerBounds;
  issuerKeys: IssuerKeys;
  exchangeCounts: ExchangeCounts;
  trust: TrustStore;
  audit: AuditLog;
  validator: BackendValidator;
  links: DownloadLinks;
  /** Undefined: no certificates are issued. */
  signing: WatchedAuthority | undefined;
  authenticator: Authenticator;
  revocations: Revocations;
  tokenUses: TokenUses;
  /** Work in the background, to be started and destroyed. */
  background: { start?(): void; destroy(): Promise<void> }[];
}

/** Revoked tokens in one answer. */
export const revokedPageSize = 1_000;
/** Time between two looks for federated tokens to forget, in milliseconds, and tokens in one statement. */
const forgetEveryMs = 3_600_000;
const mostForgotten = 1_000;
/** Crafting states of ended runs that one statement deletes. */
const mostSwept = 100;
/** Time between two looks for backends that are due, in milliseconds. */
const validationPollMs = 15_000;

export function createContext(
  config: Config,
  { keyring, logger, metrics, cas }: Dependencies,
  { signing }: Opened,
): AppContext {
  const telemetry = new Telemetry(metrics);
  const database = openDatabase({ url: config.databaseUrl, connections: config.databaseConnections, logger });
  const runs = new RunStore(database, config.runExpiryMs);
  const craftingStates = new CraftingStateStore(database.pool);
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
  const tokenUses = new TokenUses({ report: (uses) => tokens.recordUses(uses), logger });
  const contractReader = new ContractReader();
  const issuerBounds = { allowPrivate: config.privateIssuers };
  const names = new IssuerNames({ bounds: issuerBounds });
  const issuers = new IssuerDocuments({ bounds: issuerBounds, names });
  const forgetting = new Periodic({
    name: "the forgetting of federated tokens",
    intervalMs: forgetEveryMs,
    work: async (signal) => {
      while (!signal.aborted && (await tokens.forgetFederated(mostForgotten)) === mostForgotten);
    },
    logger,
  });
  const expirer = new Periodic({
    name: "the expirer of runs",
    intervalMs: config.expirerIntervalMs,
    work: async (signal) => {
      telemetry.runsEnded("expired", await expireRuns(runs, config.runExpiryMs, signal));
      while (!signal.aborted && (await craftingStates.sweep(mostSwept)) === mostSwept);
    },
    logger,
  });
  const revalidation = new Periodic({
    name: "the validation of backends",
    intervalMs: Math.min(validationPollMs, config.revalidationMs),
    work: (signal) => validator.validateDue(signal),
    logger,
  });
  return {
    ...{ config, keyring, logger, telemetry, database, runs, craftingStates, backends, tokens, validator, signing },
    organizations: new OrganizationStore(database.prisma),
    workflows: new WorkflowStore(database),
    contracts: new ContractStore(database),
    contractReader,
    projectVersions: new ProjectVersionStore(database.pool),
    federation: new FederationStore(database.prisma),
    issuerBounds,
    exchangeCounts: new ExchangeCounts(),
    issuerKeys: new IssuerKeys({ fetch: (issuer, organizationId) => issuers.jwks(issuer, organizationId), logger }),
    trust: new TrustStore(database.prisma),
    audit: new AuditLog(database.pool),
    links: new DownloadLinks(config.casPublicUrl),
    authenticator: createAuthenticator({ keyring, revocations, uses: tokenUses }),
    revocations,
    tokenUses,
    background: [issuers, forgetting, expirer, revalidation, validator, contractReader, ...(signing ? [signing] : [])],
  };
}
