import path from "node:path";
import type { ServiceName } from "@attestry/service-kit";
import { freePort } from "@attestry/standalone/postgres";
import { nodeFlags } from "../node-flags.ts";
import { answersOk, type Spawned, spawnServer } from "../spawned.ts";
import { type Replaceable, replaceable } from "./replaceable.ts";

const services = path.resolve(import.meta.dirname, "../../../../services");

/** The processes of a constellation; ingest is one, or one for the API and one for the uploads. */
export type ProcessName = "workflow-run" | "attestation-ingest" | "attestation-ingest-worker" | "cas-gateway";

/** The variable by which each is told where to listen. */
const listenVariable: Record<ProcessName, string> = {
  "workflow-run": "WORKFLOW_RUN_LISTEN",
  "attestation-ingest": "ATTESTATION_INGEST_LISTEN",
  "attestation-ingest-worker": "ATTESTATION_INGEST_LISTEN",
  "cas-gateway": "CAS_GATEWAY_LISTEN",
};

/** Service processes by name; how to start them again is known. */
export type ServiceProcesses = ReadonlyMap<ProcessName, Replaceable<Spawned>>;

export interface ServiceProcessesOptions {
  /** HOST:PORT. */
  listen: ReadonlyMap<ProcessName, string>;
  /** In process groups of their own, so that Ctrl-C reaches only this process. */
  detached: boolean;
  env: (name: ProcessName) => NodeJS.ProcessEnv;
  onOutput?: ((name: ProcessName, text: string) => void) | undefined;
}

/**
 * Starts workflow-run, and when it serves the others at once; resolves when each can serve. Any order does, but those
 * that call workflow-run log that it does not answer while it starts. They end with `started`.
 */
export async function startProcesses(
  started: AsyncDisposableStack,
  { listen, env, detached, onOutput }: ServiceProcessesOptions,
): Promise<ServiceProcesses> {
  const startOne = async ([name, address]: [ProcessName, string]) => {
    // As production does: node FLAGS services/NAME/src/main.ts.
    const start = () =>
      spawnServer({
        name,
        command: process.execPath,
        args: [...nodeFlags, path.join(services, serviceOf(name), "src/main.ts")],
        env: { ...env(name), [listenVariable[name]]: address },
        detached,
        isReady: () => answersOk(`${urlOf(address)}/readyz`),
        readyMs: 60_000,
        onOutput: (text) => onOutput?.(name, text),
      });
    const service = await replaceable(start);
    started.defer(() => service.stop());
    return [name, service] as const;
  };
  const first = await Promise.all([...listen].filter(([name]) => name === "workflow-run").map(startOne));
  const others = [...listen].filter(([name]) => name !== "workflow-run").map(startOne);
  const results = await Promise.allSettled(others);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return new Map([...first, ...results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []))]);
}

/** Where each listens: as given, or on a free port. */
export async function addressesOf(
  names: readonly ProcessName[],
  given: Partial<Record<ProcessName, string>>,
): Promise<Map<ProcessName, string>> {
  const addresses = new Map<ProcessName, string>();
  for (const name of names) addresses.set(name, given[name] ?? `127.0.0.1:${await freePort()}`);
  return addresses;
}

/** The URL at which this machine reaches who listens there. */
export function urlOf(listen: string): string {
  return `http://${listen.replace(/^0\.0\.0\.0:/, "127.0.0.1:").replace(/^\[::\]:/, "[::1]:")}`;
}

/** The service that a process runs. */
export function serviceOf(name: ProcessName): ServiceName {
  return name === "attestation-ingest-worker" ? "attestation-ingest" : name;
}
