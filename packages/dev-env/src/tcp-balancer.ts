import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { answersOk } from "./spawned.ts";

const probeMs = 200;

export interface TcpBalancer {
  port: number;
  close(): Promise<void>;
}

/**
 * One address for several replicas, as a Service of Kubernetes is: each new connection goes to the next one that was
 * ready when it was asked last, 200 ms ago at most; connections that stand are left alone.
 */
export async function startTcpBalancer(targetPorts: readonly number[]): Promise<TcpBalancer> {
  const sockets = new Set<net.Socket>();
  const stopping = new AbortController();
  let ready: readonly number[] = [];
  let turn = 0;

  async function probe(): Promise<void> {
    while (!stopping.signal.aborted) {
      const states = await Promise.all(targetPorts.map((port) => answersOk(`http://127.0.0.1:${port}/readyz`)));
      ready = targetPorts.filter((_, index) => states[index]);
      await sleep(probeMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  const server = net.createServer((client) => {
    const port = ready[turn++ % Math.max(1, ready.length)];
    client.on("error", () => undefined);
    if (port === undefined) {
      client.resetAndDestroy();
      return;
    }
    const target = net.connect(port, "127.0.0.1").on("error", () => undefined);
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        target.destroy();
      });
    }
    client.pipe(target).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const probing = probe();
  return {
    port: (server.address() as net.AddressInfo).port,
    close: async () => {
      stopping.abort();
      await probing;
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
