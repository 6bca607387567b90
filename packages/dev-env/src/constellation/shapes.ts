import { createLogger, createMetrics, serve } from "@attestry/service-kit";
import { composeServices } from "@attestry/standalone";
import { type Link, type Links, linkedAddresses, startBalancers, startLinks } from "./between.ts";
import { type Backend, bootstrapDatabase, firstBackend, migrateDatabases } from "./bootstrap.ts";
import type { ConstellationFiles } from "./files.ts";
import type { Servers } from "./servers.ts";
import {
  addressesOf,
  type ProcessName,
  type ReplicaName,
  type ServiceProcesses,
  serviceOf,
  startProcesses,
  urlOf,
} from "./service-processes.ts";

export interface Plan {
  backend: Backend;
  servers: Servers;
  files: ConstellationFiles;
  /** Settings that the caller chose. */
  env: Record<string, string>;
  /** Of one process alone. */
  envOf: Partial<Record<ProcessName, Record<string, string>>>;
  /** What a process is started under. */
  under: Partial<Record<ProcessName, readonly string[]>>;
  separateWorker: boolean;
  /** Two of each process, behind one address. */
  twoOfEach: boolean;
  /** Which services reach each other through a proxy. */
  links: readonly Link[];
  listen: Partial<Record<ReplicaName, string>>;
  detached: boolean;
  onOutput?: ((name: ReplicaName, text: string) => void) | undefined;
}

export interface RunningServices {
  runUrl: string;
  ingestUrl: string;
  casUrl: string;
  adminToken?: string | undefined;
  processes?: ServiceProcesses;
  links?: Links;
}

/** Each service in a process of its own, calling the others over the network. */
export async function startApart(started: AsyncDisposableStack, plan: Plan): Promise<RunningServices> {
  const names: ProcessName[] = ["workflow-run", "attestation-ingest", "cas-gateway"];
  if (plan.separateWorker) names.push("attestation-ingest-worker");
  const replicas = plan.twoOfEach ? names.flatMap((name): ReplicaName[] => [name, `${name}-2`]) : names;
  const listen = await addressesOf(replicas, plan.listen);
  const reached = plan.twoOfEach ? await startBalancers(started, listen) : listen;
  const url = (name: ProcessName) => urlOf(reached.get(name) ?? "");
  const links = await startLinks(started, plan.links, url);

  const common = {
    ...environment(plan),
    WORKFLOW_RUN_ADDR: url("workflow-run"),
    CAS_GATEWAY_ADDR: url("cas-gateway"),
    ATTESTATION_INGEST_ADDR: url("attestation-ingest"),
    CAS_GATEWAY_PUBLIC_URL: plan.env.CAS_GATEWAY_PUBLIC_URL ?? url("cas-gateway"),
  };
  const env = (name: ProcessName): NodeJS.ProcessEnv => ({
    ...common,
    ...keysOf(plan, name),
    ...(plan.separateWorker && { ATTESTATION_INGEST_ROLE: name === "attestation-ingest-worker" ? "worker" : "api" }),
    ...linkedAddresses(links, name),
    ...plan.envOf[name],
  });
  await migrateDatabases(env("workflow-run"), env("attestation-ingest"));
  const processes = await startProcesses(started, {
    ...{ listen, env, under: plan.under },
    detached: plan.detached,
    onOutput: plan.onOutput,
  });
  const { adminToken } = await bootstrapDatabase(env("workflow-run"), plan.backend);
  return {
    runUrl: url("workflow-run"),
    ingestUrl: url("attestation-ingest"),
    casUrl: url("cas-gateway"),
    adminToken,
    processes,
    links,
  };
}

/** All services in this process on one port, as standalone runs them. */
export async function startTogether(started: AsyncDisposableStack, plan: Plan): Promise<RunningServices> {
  const logger = createLogger({ name: "constellation", level: plan.env.LOG_LEVEL ?? "silent" });
  const metrics = createMetrics();
  const env = environment(plan);
  const services = await composeServices({ env, keys: plan.files.keys, logger, metrics });
  started.defer(() => services.destroy());
  const { adminToken } = await services.bootstrap(firstBackend(plan.backend));
  const listen = { host: "127.0.0.1", port: 0 };
  const server = await serve({ modules: services.modules, listen, logger, metrics });
  started.defer(() => server.close());
  services.servedAt(server.url);
  for (const module of services.modules) await module.start();
  return { runUrl: server.url, ingestUrl: server.url, casUrl: server.url, adminToken };
}

function environment({ servers, files, twoOfEach, env }: Plan): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    LOG_LEVEL: "info",
    // Only a balancer needs the time.
    ...(!twoOfEach && { SHUTDOWN_DRAIN: "0" }),
    WORKFLOW_RUN_DATABASE_URL: servers.runDatabase,
    ATTESTATION_INGEST_DATABASE_URL: servers.ingestDatabase,
    REDIS_URL: servers.redis,
    CAS_SECRETS_DIR: files.secretsDir,
    SIGNING_CA_CERT_FILE: files.signing.certFile,
    SIGNING_CA_KEY_FILE: files.signing.keyFile,
    ...env,
  };
}

function keysOf({ files: { keys } }: Plan, name: ProcessName): NodeJS.ProcessEnv {
  return { ATTESTRY_SIGNING_KEY_FILE: keys.signingKeyFile(serviceOf(name)), ATTESTRY_JWKS_FILE: keys.jwksFile };
}
