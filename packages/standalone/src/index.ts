import { mkdir } from "node:fs/promises";
import path from "node:path";
import { type DataDir, openDataDir, StartFailure, writeDurably } from "@attestry/data-dir";
import {
  createKeyFiles,
  createLogger,
  createMetrics,
  type ListenAddress,
  type Logger,
  readSettings,
  serve,
} from "@attestry/service-kit";
import { createSigningAuthorityFiles } from "@attestry/service-kit/certificates";
import { expectFree, listenFailure } from "./listen.ts";
import { type PostgresServer, startPostgres } from "./postgres/index.ts";
import { composeServices } from "./services.ts";
import { settings } from "./settings.ts";
import { chooseTls, expectGuarded, type TlsChoice } from "./tls/choose-tls.ts";

export { type DataDir, openDataDir, StartFailure, type StartFailureCode } from "@attestry/data-dir";
export { expectFree, readListenAddress } from "./listen.ts";
export { composeServices } from "./services.ts";
export { tour } from "./tour.ts";

/** The default backend of the first organization; prepareStorage writes its secret. */
const localBackend = { name: "local", provider: "filesystem", secretRef: "_shared/local" } as const;

export interface StandaloneOptions extends TlsChoice {
  listen: ListenAddress;
  /** Made if absent. */
  dataDir: string;
  /** The administrator has looked at what `attestry restore` made: it may delete from now on. */
  adopt?: boolean;
  /** Warnings and errors to standard output unless given. */
  logger?: Logger;
  /** Where the services' other settings are read from; the process's environment unless given. */
  env?: NodeJS.ProcessEnv;
}

export interface Standalone {
  /** http://HOST:PORT, or https. */
  readonly url: string;
  /** What clients need to trust its certificate; undefined: nothing. */
  readonly trustFile: string | undefined;
  readonly port: number;
  /** Undefined if the first token was revoked and its file removed. */
  readonly adminToken: string | undefined;
  readonly adminTokenFile: string;
  /** Nobody was told of the token yet. */
  readonly firstStart: boolean;
  /** It runs on a restored copy that nobody has adopted, and deletes nothing. */
  readonly restored: boolean;
  /** Resolves, with the reason, when it can no longer serve; `stop` is then still to be called. */
  readonly failed: Promise<StartFailure>;
  /** Ends calls under way, the services and PostgreSQL, in this order. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts the three services in this process on one port, with PostgreSQL and storage under one folder; all of it is
 * made the first time. Throws StartFailure or SettingError with one line for what the operator can mend; nothing is left
 * running then.
 */
export async function startStandalone(options: StandaloneOptions): Promise<Standalone> {
  const { listen, env = process.env } = options;
  const { logLevel, ...transport } = readSettings(settings, env);
  const logger = options.logger ?? createLogger({ name: "attestry", level: logLevel });
  const metrics = createMetrics();
  await using started = new AsyncDisposableStack();

  // Before anything is made: a start that is refused leaves no folder.
  expectGuarded(listen, options, transport);
  await expectFree(listen);
  const dataDir = await openDataDir(options.dataDir);
  started.defer(() => dataDir.release());

  if (options.adopt === true) await dataDir.adopt();
  const restored = await dataDir.isRestored();
  const keys = await createKeyFiles(dataDir.keysDir);
  const signing = await signingFiles(dataDir, env);
  const tls = await chooseTls(dataDir.tlsDir, listen, options, transport);
  await prepareStorage(dataDir);
  const postgres = await startPostgres({ dir: dataDir.postgresDir, detached: true });
  started.defer(() => postgres.stop());

  const services = await composeServices({
    env: {
      ...env,
      ...signing,
      // The server that was backed up may still use the same stores.
      ...(restored && { RETENTION_DELETES: "false" }),
      WORKFLOW_RUN_DATABASE_URL: await postgres.ensureDatabase("workflow_run"),
      ATTESTATION_INGEST_DATABASE_URL: await postgres.ensureDatabase("attestation_ingest"),
      CAS_SECRETS_DIR: dataDir.secretsDir,
      ATTESTATION_INGEST_ROLE: "all",
      REDIS_URL: "",
    },
    keys,
    logger,
    metrics,
  });
  started.defer(() => services.destroy());
  for (const module of services.modules) await module.start();
  const bootstrapped = await services.bootstrap(localBackend);
  const known = await dataDir.readAdminToken();
  // Also when the first start was killed before it got here, or the file was removed: bootstrap signs the same token again.
  if (known === undefined && bootstrapped.adminToken !== undefined) {
    await dataDir.writeAdminToken(bootstrapped.adminToken);
  }

  const serving = { modules: services.modules, listen, tls: tls?.files, limits: { ...transport, redisUrl: undefined } };
  const server = await serve({ ...serving, logger, metrics }).catch((error: unknown) => {
    throw listenFailure(listen, error);
  });
  started.defer(() => server.close());
  services.servedAt(reachable(server.url));

  const owned = started.move();
  const failed = postgres.exited.then(() => postgresEnded(postgres));
  return {
    url: server.url,
    port: server.port,
    trustFile: tls?.trustFile,
    adminToken: known ?? bootstrapped.adminToken,
    adminTokenFile: dataDir.adminTokenFile,
    firstStart: known === undefined,
    restored,
    failed,
    stop: () => owned.disposeAsync(),
  };
}

/** An address at which all of this machine's are listened on is none that a browser can open. */
function reachable(url: string): string {
  return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
}

function postgresEnded({ logFile }: PostgresServer): StartFailure {
  return new StartFailure("POSTGRES_CANNOT_START", `PostgreSQL has ended (its log: ${logFile})`);
}

/** The signing authority that the settings name; without, one beside the keys, made the first time. */
async function signingFiles(dataDir: DataDir, env: NodeJS.ProcessEnv): Promise<NodeJS.ProcessEnv> {
  if (env.SIGNING_CA_CERT_FILE || env.SIGNING_CA_KEY_FILE) return {};
  const { certFile, keyFile } = await createSigningAuthorityFiles(dataDir.keysDir);
  return { SIGNING_CA_CERT_FILE: certFile, SIGNING_CA_KEY_FILE: keyFile };
}

/** The folder of the backend `local`, and the secret by which the gateway finds it. */
async function prepareStorage(dataDir: DataDir): Promise<void> {
  const shared = path.join(dataDir.secretsDir, "_shared");
  await mkdir(dataDir.casDir, { recursive: true, mode: 0o700 });
  await mkdir(shared, { recursive: true, mode: 0o700 });
  // Written at each start, so that the data directory may be moved.
  const secret = { provider: "filesystem", path: dataDir.casDir };
  await writeDurably(path.join(shared, "local.json"), `${JSON.stringify(secret)}\n`, 0o600);
}
