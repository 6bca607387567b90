import { startTcpBalancer } from "../tcp-balancer.ts";
import { startTcpProxy, type TcpProxy } from "../tcp-proxy.ts";
import { type ProcessName, processOf, type ReplicaName } from "./service-processes.ts";

/** What one service calls of another: `attestation-ingest>workflow-run` is how ingest reaches workflow-run. */
export type Link = `${ProcessName}>${Called}`;
export type Called = Exclude<ProcessName, "attestation-ingest-worker">;
export type Links = ReadonlyMap<Link, TcpProxy>;

/** The variable by which each is told where another is. */
const addressVariable: Record<Called, string> = {
  "workflow-run": "WORKFLOW_RUN_ADDR",
  "cas-gateway": "CAS_GATEWAY_ADDR",
  "attestation-ingest": "ATTESTATION_INGEST_ADDR",
};

/** A proxy in each of the links, before what is called. */
export async function startLinks(
  started: AsyncDisposableStack,
  links: readonly Link[],
  url: (name: Called) => string,
): Promise<Links> {
  const proxies = new Map<Link, TcpProxy>();
  for (const link of links) {
    const proxy = await startTcpProxy(Number(new URL(url(calledBy(link).called)).port));
    started.defer(() => proxy.close());
    proxies.set(link, proxy);
  }
  return proxies;
}

/** Where a process finds what it calls through a proxy. */
export function linkedAddresses(links: Links, name: ProcessName): Record<string, string> {
  const own = [...links].filter(([link]) => calledBy(link).caller === name);
  return Object.fromEntries(
    own.map(([link, { port }]) => [addressVariable[calledBy(link).called], `http://127.0.0.1:${port}`]),
  );
}

/** Of each service with several replicas, one address that stands for all of them: HOST:PORT. */
export async function startBalancers(
  started: AsyncDisposableStack,
  listen: ReadonlyMap<ReplicaName, string>,
): Promise<Map<ProcessName, string>> {
  const ports = Map.groupBy(listen, ([name]) => processOf(name));
  const addresses = new Map<ProcessName, string>();
  for (const [name, replicas] of ports) {
    const balancer = await startTcpBalancer(replicas.map(([, address]) => Number(address.split(":").at(-1))));
    started.defer(() => balancer.close());
    addresses.set(name, `127.0.0.1:${balancer.port}`);
  }
  return addresses;
}

function calledBy(link: Link): { caller: ProcessName; called: Called } {
  const [caller, called] = link.split(">") as [ProcessName, Called];
  return { caller, called };
}
