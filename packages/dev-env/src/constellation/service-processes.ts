import path from "node:path";
import type { ServiceName } from "@attestry/service-kit";
import { freePort } from "@attestry/standalone/postgres";
import { nodeFlags } from "../node-flags.ts";
import { answersOk, type Spawned, spawnServer } from "../spawned.ts";
import { type Replaceable, replaceable } from "./replaceable.ts";

const services = path.resolve(import.meta.dirname, "../../../../services");

/** The processes of a constellation; ingest is one, or one for the API and one for the uploads. */
export type ProcessName = "workflow-run" | "attestation-ingest" | "attestation-ingest-worker" | "cas-gateway";

/** A process, or the second one of its kind behind the same address. */
export type ReplicaName = ProcessName | `${ProcessName}-2`;

/** The variable by which each is told where to listen. */
const listenVariable: Record<ProcessName, string> = {
  "workflow-run": "WORKFLOW_RUN_LISTEN",
  "attestation-ingest": "ATTESTATION_INGEST_LISTEN",
  "attestation-ingest-worker": "ATTESTATION_INGEST_LISTEN",
  "cas-gateway": "CAS_GATEWAY_LISTEN",
};

/** Service processes by name; how to start them again is known. */
export type ServiceProcesses = ReadonlyMap<ReplicaName, Replaceable<Spawned>>;

export interface ServiceProcessesOptions {
  /** HOST:PORT. */
  listen: ReadonlyMap<ReplicaName, string>;
  /** In process groups of their own, so that Ctrl-C reaches only this process. */
  detached: boolean;
  env: (name: ProcessName) => NodeJS.ProcessEnv;
  /** What a process is started under, program and arguments. */
  under: Partial<Record<ProcessName, readonly string[]>>;
  onOutput?: ((name: ReplicaName, text: string) => void) | undefined;
}

/**
 * Starts workflow-run, and when it serves the others at once; resolves when each can serve. Any order does, but those
 * that call workflow-run log that it does not answer while it starts. They end with `started`.
 */
export async function startProcesses(
  started: AsyncDisposableStack,
  { listen, env, under, detached, onOutput }: ServiceProcessesOptions,
): Promise<ServiceProcesses> {
  const startOne = async ([name, address]: [ReplicaName, string]) => {
    const kind = processOf(name);
    // As production does: node FLAGS services/NAME/src/main.ts.
    const main = [process.execPath, ...nodeFlags, path.join(services, serviceOf(kind), "src/main.ts")];
    const [command = "", ...args] = [...(under[kind] ?? []), ...main];
    const start = () =>
      spawnServer({
        name,
        command,
        args,
        env: { ...env(kind), [listenVariable[kind]]: address },
        detached,
        isReady: () => answersOk(`${urlOf(address)}/readyz`),
        readyMs: 60_000,
        onOutput: (text) => onOutput?.(name, text),
      });
    const service = await replaceable(start);
    started.defer(() => service.stop());
    return [name, service] as const;
  };
  const isFirst = ([name]: [ReplicaName, string]) => processOf(name) === "workflow-run";
  const first = await Promise.all([...listen].filter(isFirst).map(startOne));
  const others = [...listen].filter((one) => !isFirst(one)).map(startOne);
  const results = await Promise.allSettled(others);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return new Map([...first, ...results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []))]);
}

/** Where each listens: as given, or on a free port. */
export async function addressesOf(
  names: readonly ReplicaName[],
  given: Partial<Record<ReplicaName, string>>,
): Promise<Map<ReplicaName, string>> {
  const addresses = new Map<ReplicaName, string>();
  for (const name of names) addresses.set(name, given[name] ?? `127.0.0.1:${await freePort()}`);
  return addresses;
}

/** The URL at which this machine reaches who listens there. */
export function urlOf(listen: string): string {
  return `http://${listen.replace(/^0\.0\.0\.0:/, "127.0.0.1:").replace(/^\[::\]:/, "[::1]:")}`;
}

/** What a replica is one of. */
export function processOf(name: ReplicaName): ProcessName {
  return name.replace(/-2$/, "") as ProcessName;
}

/** The service that a process runs. */
export function serviceOf(name: ProcessName): ServiceName {
  return name === "attestation-ingest-worker" ? "attestation-ingest" : name;
}
