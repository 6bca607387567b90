import * as ingest from "@attestry/attestation-ingest";
import * as cas from "@attestry/cas-gateway";
import {
  createInProcessTransport,
  type createMetrics,
  type KeyFiles,
  Keyring,
  type Logger,
  readSettings,
  type ServiceModule,
  type ServiceName,
} from "@attestry/service-kit";
import * as run from "@attestry/workflow-run";

export interface ComposeOptions {
  /** Settings of all three, by their variables. */
  env: NodeJS.ProcessEnv;
  keys: KeyFiles;
  logger: Logger;
  metrics: ReturnType<typeof createMetrics>;
}

export interface ComposedServices {
  /** To be served, and then started. */
  readonly modules: readonly ServiceModule[];
  /** Makes the organization `default`, its default backend and the first token, if they are not there. */
  bootstrap(backend?: run.BootstrapOptions["backend"]): Promise<run.Bootstrapped>;
  /** Where they are reached, http://HOST:PORT, so that download links lead there unless CAS_GATEWAY_PUBLIC_URL says otherwise. */
  servedAt(url: string): void;
  destroy(): Promise<void>;
}

/** The three services in this process, calling each other in process. Their databases are migrated first. */
export async function composeServices({ env, keys, logger, metrics }: ComposeOptions): Promise<ComposedServices> {
  const keyring = {
    "workflow-run": await loadKeyring(keys, "workflow-run"),
    "attestation-ingest": await loadKeyring(keys, "attestation-ingest"),
    "cas-gateway": await loadKeyring(keys, "cas-gateway"),
  };
  const settingsOf = (service: ServiceName) => ({
    CHAINLOOP_COMPAT: "true",
    ...env,
    ATTESTRY_SIGNING_KEY_FILE: keys.signingKeyFile(service),
    ATTESTRY_JWKS_FILE: keys.jwksFile,
  });
  const runConfig = readSettings(run.settings, settingsOf("workflow-run"));
  const ingestConfig = readSettings(ingest.settings, settingsOf("attestation-ingest"));
  const casConfig = readSettings(cas.settings, settingsOf("cas-gateway"));
  await run.migrateDatabase(runConfig, logger);
  await ingest.migrateDatabase(ingestConfig, logger);

  await using made = new AsyncDisposableStack();
  const modules = new Map<ServiceName, ServiceModule>();
  const add = (module: ServiceModule) => {
    modules.set(module.name, module);
    made.defer(() => module.destroy());
  };
  const transport = (from: ServiceName, to: ServiceName) =>
    createInProcessTransport(() => moduleOf(modules, to), { keyring: keyring[from], to });
  const dependencies = (service: ServiceName) => ({
    keyring: keyring[service],
    logger: logger.child({ service }),
    metrics,
  });

  const runService = await run.createWorkflowRun(runConfig, {
    ...dependencies("workflow-run"),
    cas: transport("workflow-run", "cas-gateway"),
  });
  add(runService);
  add(
    await cas.createCasGateway(casConfig, {
      ...dependencies("cas-gateway"),
      run: transport("cas-gateway", "workflow-run"),
      ingest: transport("cas-gateway", "attestation-ingest"),
    }),
  );
  add(
    await ingest.createAttestationIngest(ingestConfig, {
      ...dependencies("attestation-ingest"),
      run: transport("attestation-ingest", "workflow-run"),
      cas: transport("attestation-ingest", "cas-gateway"),
    }),
  );

  const owned = made.move();
  return {
    modules: [...modules.values()],
    bootstrap: (backend) => run.bootstrap(runService.context, { organization: "default", ...(backend && { backend }) }),
    servedAt: (url) => runService.context.links.servedAt(url),
    destroy: () => owned.disposeAsync(),
  };
}

function loadKeyring(keys: KeyFiles, service: ServiceName): Promise<Keyring> {
  return Keyring.load({ signingKeyFile: keys.signingKeyFile(service), jwksFile: keys.jwksFile });
}

function moduleOf(modules: ReadonlyMap<ServiceName, ServiceModule>, name: ServiceName): ServiceModule {
  const module = modules.get(name);
  if (module === undefined) throw new Error(`${name} was called before it was made`);
  return module;
}
