import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import type { TcpProxy } from "../tcp-proxy.ts";
import { hasSharedServers } from "../test-servers.ts";
import type { Link } from "./between.ts";
import type { Backend } from "./bootstrap.ts";
import { prepareFiles } from "./files.ts";
import type { Replaceable } from "./replaceable.ts";
import { type ServerName, type Servers, shareServers, startServers } from "./servers.ts";
import type { ProcessName, ReplicaName } from "./service-processes.ts";
import { type Plan, startApart, startTogether } from "./shapes.ts";
import { untilUsable } from "./usable.ts";

export type { Link } from "./between.ts";
export type { Backend } from "./bootstrap.ts";
export type { ServerName } from "./servers.ts";
export type { ProcessName, ReplicaName } from "./service-processes.ts";

export interface ConstellationOptions {
  /** All services in this process on one port, or each in its own, as in production. */
  shape: "one-process" | "processes";
  /** The default backend of the organization `default`. `s3` needs a MinIO. */
  backend: Backend;
  /** With the second-level cache; needs a Redis. */
  redis?: boolean;
  skipDbStorage?: "false" | "true" | "spool";
  /** The uploads in a process apart from the API; only with `processes`. */
  separateWorker?: boolean;
  /**
   * Two of each process, the second named `NAME-2`, behind one address that leaves out who is not ready; only with
   * `processes`.
   */
  twoOfEach?: boolean;
  /** Which services reach each other through a proxy (see `link`); only with `processes`. */
  links?: readonly Link[];
  /** PostgreSQL, Redis and MinIO that no other suite uses, so that they may be killed. Always so outside jest. */
  ownServers?: boolean;
  /** Of servers of its own: a PostgreSQL for each service, `postgres-run` and `postgres-ingest`, instead of `postgres`. */
  postgresOfEach?: boolean;
  /** Any other setting of the services, by its variable. */
  env?: Record<string, string>;
  /** Settings of one process alone, such as the shift of its clock; only with `processes`. */
  envOf?: Partial<Record<ProcessName, Record<string, string>>>;
  /** What a process is started under, program and arguments, such as a file system of its own; only with `processes`. */
  under?: Partial<Record<ProcessName, readonly string[]>>;
  /** Folder of all data, kept; a temporary one, removed at the end, if not given. */
  dir?: string;
  /** Where services listen, HOST:PORT; free ports of 127.0.0.1 if not given. */
  listen?: Partial<Record<ReplicaName, string>>;
  /** Everything in process groups of its own, so that Ctrl-C in a terminal reaches only this process. */
  detached?: boolean;
  /** Gets the output of the processes as it comes. */
  onOutput?: (name: ReplicaName, text: string) => void;
}

export interface Constellation {
  /** http://127.0.0.1:PORT of each service; all the same in one process. */
  readonly runUrl: string;
  readonly ingestUrl: string;
  readonly casUrl: string;
  /** Of an instance admin who is admin of `default`. */
  readonly adminToken: string;
  /** Id of the organization `default`. */
  readonly organizationId: string;
  readonly servers: Omit<Servers, "own" | "stop">;
  /** Of the gateway: `<secretsDir>/<organization>/NAME.json` and `<secretsDir>/_shared/NAME.json`. */
  readonly secretsDir: string;
  /** Folder of the filesystem backend. */
  readonly casDir: string;
  /** SIGKILL to a service's process, or to a server if it has its own. */
  kill(name: ReplicaName | ServerName): Promise<void>;
  /** SIGQUIT to a server of its own: PostgreSQL's immediate shutdown. */
  quit(name: ServerName): Promise<void>;
  /** SIGTERM, and waits for its end. */
  end(name: ReplicaName | ServerName): Promise<void>;
  /** At the same address; resolves when it is ready. */
  restart(name: ReplicaName | ServerName): Promise<void>;
  /** SIGSTOP: connections stay, nothing answers. */
  pause(name: ReplicaName | ServerName): void;
  resume(name: ReplicaName | ServerName): void;
  /** Resolves when a process or a server of its own has ended, whoever ended it, with its name. */
  readonly partEnded: Promise<string>;
  /** The end of what a process wrote. */
  logs(name: ReplicaName): string;
  /** The proxy between two services, if it was asked for. */
  link(name: Link): TcpProxy;
  /** Ends everything, and removes the data unless `dir` was given. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts the three services with all that they need, and a first token. Throws, leaving nothing running, if a part
 * does not start; the message has the end of its output.
 */
export async function startConstellation(options: ConstellationOptions): Promise<Constellation> {
  await using started = new AsyncDisposableStack();
  const dir = options.dir ?? (await mkdtemp(path.join(os.tmpdir(), "attestry-constellation-")));
  if (options.dir === undefined) started.defer(() => rm(dir, { recursive: true, force: true }));
  await mkdir(dir, { recursive: true, mode: 0o700 });

  const share = hasSharedServers() && options.ownServers !== true;
  const needs = {
    dir,
    detached: options.detached ?? false,
    postgresOfEach: options.postgresOfEach ?? false,
    redis: options.redis ?? false,
    minio: options.backend === "s3",
  };
  const servers = share ? await shareServers(needs) : await startServers(needs);
  started.defer(() => servers.stop());
  const bucket = share ? `constellation-${randomBytes(8).toString("hex")}` : "attestry";
  const files = await prepareFiles(dir, servers.minio, bucket);

  const plan: Plan = {
    backend: options.backend,
    servers,
    files,
    env: { ...(options.skipDbStorage && { ATTESTATIONS_SKIP_DB_STORAGE: options.skipDbStorage }), ...options.env },
    envOf: options.envOf ?? {},
    under: options.under ?? {},
    separateWorker: options.separateWorker ?? false,
    twoOfEach: options.twoOfEach ?? false,
    links: options.links ?? [],
    listen: options.listen ?? {},
    detached: options.detached ?? false,
    onOutput: options.onOutput,
  };
  const services = await (options.shape === "processes" ? startApart(started, plan) : startTogether(started, plan));
  const { adminToken } = services;
  if (adminToken === undefined) throw new Error(`the first token of the data in ${dir} was revoked`);
  const organizationId = await untilUsable(services, adminToken);

  const { runUrl, ingestUrl, casUrl, processes, links } = services;
  const own = new Map<string, Replaceable>([...Object.entries(servers.own), ...(processes ?? [])]);
  const part = (name: string): Replaceable => {
    const found = own.get(name);
    if (found === undefined) throw new Error(`this constellation has no ${name} of its own to act on`);
    return found;
  };
  const owned = started.move();
  return {
    ...{ runUrl, ingestUrl, casUrl, adminToken, organizationId },
    servers,
    secretsDir: files.secretsDir,
    casDir: files.casDir,
    kill: (name) => part(name).kill(),
    quit: (name) => part(name).quit(),
    end: (name) => part(name).stop(),
    restart: (name) => part(name).restart(),
    pause: (name) => part(name).pause(),
    resume: (name) => part(name).resume(),
    partEnded: Promise.race([...own].map(([name, { current }]) => current.exited.then(() => name))),
    logs: (name) => processes?.get(name)?.current.logs() ?? "",
    link: (name) => {
      const proxy = links?.get(name);
      if (proxy === undefined) throw new Error(`this constellation has no proxy in ${name}`);
      return proxy;
    },
    stop: () => owned.disposeAsync(),
  };
}
