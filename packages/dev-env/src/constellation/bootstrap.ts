import * as ingest from "@attestry/attestation-ingest";
import { createLogger, createMetrics, createServiceTransport, Keyring, readSettings } from "@attestry/service-kit";
import * as run from "@attestry/workflow-run";

export type Backend = "inline" | "filesystem" | "s3";

const external = {
  filesystem: { name: "local", provider: "filesystem", secretRef: "_shared/local" },
  s3: { name: "minio", provider: "s3", secretRef: "_shared/minio" },
} as const;

/** The default backend of the first organization; undefined: the inline one that every organization has. */
export function firstBackend(backend: Backend): run.BootstrapOptions["backend"] {
  return backend === "inline" ? undefined : external[backend];
}

/** Brings both databases to the newest schema. */
export async function migrateDatabases(runEnv: NodeJS.ProcessEnv, ingestEnv: NodeJS.ProcessEnv): Promise<void> {
  const logger = createLogger({ name: "dev-env", level: "warn" });
  await run.migrateDatabase(readSettings(run.settings, runEnv), logger);
  await ingest.migrateDatabase(readSettings(ingest.settings, ingestEnv), logger);
}

/** Makes the first organization, its backend and the first token where they are not there, as `attestry bootstrap` does. */
export async function bootstrapDatabase(runEnv: NodeJS.ProcessEnv, backend: Backend): Promise<run.Bootstrapped> {
  const config = readSettings(run.settings, runEnv);
  const keyring = await Keyring.load(config);
  const cas = createServiceTransport({ address: config.casAddress, keyring, to: "cas-gateway" });
  const logger = createLogger({ name: "dev-env", level: "warn" });
  const service = await run.createWorkflowRun(config, { keyring, logger, metrics: createMetrics(), cas });
  try {
    const external = firstBackend(backend);
    return await run.bootstrap(service.context, { organization: "default", ...(external && { backend: external }) });
  } finally {
    await service.destroy();
    cas.close();
  }
}
