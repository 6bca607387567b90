import { mkdir } from "node:fs/promises";
import path from "node:path";
import { createKeyFiles, createLogger, createMetrics, type ListenAddress, type Logger, serve } from "@attestry/service-kit";
import { firstToken } from "./admin-token.ts";
import { type DataDir, openDataDir, writeDurably } from "./data-dir.ts";
import { expectFree, listenFailure } from "./listen.ts";
import { type PostgresServer, startPostgres } from "./postgres/index.ts";
import { composeServices } from "./services.ts";
import { StartFailure } from "./start-failure.ts";

export { composeServices } from "./services.ts";
export { StartFailure, type StartFailureCode } from "./start-failure.ts";

export interface StandaloneOptions {
  listen: ListenAddress;
  /** Made if absent. */
  dataDir: string;
  /** Warnings and errors to standard output unless given. */
  logger?: Logger;
  /** Where the services' other settings are read from; the process's environment unless given. */
  env?: NodeJS.ProcessEnv;
}

export interface Standalone {
  /** http://HOST:PORT. */
  readonly url: string;
  readonly port: number;
  readonly adminToken: string;
  readonly adminTokenFile: string;
  /** The data directory was new. */
  readonly firstStart: boolean;
  /** Resolves, with the reason, when it can no longer serve; `stop` is then still to be called. */
  readonly failed: Promise<StartFailure>;
  /** Ends calls under way, the services and PostgreSQL, in this order. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts the three services in this process on one port, with PostgreSQL and storage under one folder; all of it is
 * made the first time. Throws StartFailure with one line for what the operator can mend; nothing is left running then.
 */
export async function startStandalone(options: StandaloneOptions): Promise<Standalone> {
  const { listen, env = process.env } = options;
  const logger = options.logger ?? createLogger({ name: "attestry", level: env.LOG_LEVEL || "warn" });
  const metrics = createMetrics();
  await using started = new AsyncDisposableStack();

  const dataDir = await openDataDir(options.dataDir);
  started.defer(() => dataDir.release());
  await expectFree(listen);

  const settings = await prepareFiles(dataDir);
  const postgres = await startPostgres({ dir: dataDir.postgresDir, detached: true });
  started.defer(() => postgres.stop());

  const services = await composeServices({
    env: { ...env, ...settings },
    databases: {
      "workflow-run": await postgres.ensureDatabase("workflow_run"),
      "attestation-ingest": await postgres.ensureDatabase("attestation_ingest"),
    },
    logger,
    metrics,
  });
  started.defer(() => services.destroy());
  const { adminToken, isNew } = await firstToken(dataDir, services);

  const server = await serve({ modules: services.modules, listen, logger, metrics }).catch((error: unknown) => {
    throw listenFailure(listen, error);
  });
  started.defer(() => server.close());
  for (const module of services.modules) await module.start();

  const owned = started.move();
  const failed = postgres.exited.then(() => postgresEnded(postgres));
  return {
    url: server.url,
    port: server.port,
    adminToken,
    adminTokenFile: dataDir.adminTokenFile,
    firstStart: isNew,
    failed,
    stop: () => owned.disposeAsync(),
  };
}

function postgresEnded({ logFile }: PostgresServer): StartFailure {
  return new StartFailure("POSTGRES_CANNOT_START", `PostgreSQL has ended (its log: ${logFile})`);
}

/** Keys, and the secret by which the gateway finds the folder of the backend `local`. Returns the settings that name them. */
async function prepareFiles(dataDir: DataDir): Promise<NodeJS.ProcessEnv> {
  const keys = await createKeyFiles(dataDir.keysDir);
  await mkdir(dataDir.casDir, { recursive: true, mode: 0o700 });
  const shared = path.join(dataDir.secretsDir, "_shared");
  await mkdir(shared, { recursive: true, mode: 0o700 });
  // Written at each start, so that the data directory may be moved.
  const secret = { provider: "filesystem", path: dataDir.casDir };
  await writeDurably(path.join(shared, "local.json"), `${JSON.stringify(secret)}\n`, 0o600);
  return {
    ATTESTRY_KEYS_DIR: dataDir.keysDir,
    ATTESTRY_JWKS_FILE: keys.jwksFile,
    CAS_SECRETS_DIR: dataDir.secretsDir,
  };
}
