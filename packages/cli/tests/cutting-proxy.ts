import net, { type AddressInfo, type Socket } from "node:net";
import { Transform } from "node:stream";

export interface ProxyRules {
  /** Ends each of the next connections after so many bytes to the server; Infinity: never. */
  cutAfterSent?: number[];
  /** The same by bytes to the client. */
  cutAfterReceived?: number[];
  /** To the server. */
  bytesPerSecond?: number | undefined;
  /** To the client. */
  bytesPerSecondBack?: number | undefined;
}

export interface CuttingProxy {
  url: string;
  rules: ProxyRules;
  /** Bytes that went to the server and to the client since this was set to 0. */
  sent: number;
  received: number;
  connections: number;
  stop(): Promise<void>;
}

/** A TCP proxy that counts, slows down and cuts connections. */
export async function startCuttingProxy(target: string, rules: ProxyRules = {}): Promise<CuttingProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const server = net.createServer((client) => {
    proxy.connections++;
    const upstream = net.connect(Number(port), hostname);
    const cut = () => {
      client.resetAndDestroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", cut).on("close", () => {
        sockets.delete(socket);
        cut();
      });
    }
    const toServer = proxy.rules.cutAfterSent?.shift() ?? Number.POSITIVE_INFINITY;
    const toClient = proxy.rules.cutAfterReceived?.shift() ?? Number.POSITIVE_INFINITY;
    client
      .pipe(
        counted(
          toServer,
          cut,
          (bytes) => (proxy.sent += bytes),
          () => proxy.rules.bytesPerSecond,
        ),
      )
      .pipe(upstream);
    upstream
      .pipe(
        counted(
          toClient,
          cut,
          (bytes) => (proxy.received += bytes),
          () => proxy.rules.bytesPerSecondBack,
        ),
      )
      .pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const proxy: CuttingProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    rules,
    ...{ sent: 0, received: 0, connections: 0 },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}

function counted(
  limit: number,
  cut: () => void,
  count: (bytes: number) => void,
  bytesPerSecond: () => number | undefined,
): Transform {
  let passed = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      passed += chunk.byteLength;
      if (passed > limit) {
        cut();
        return;
      }
      count(chunk.byteLength);
      const rate = bytesPerSecond();
      const waitMs = rate === undefined ? 0 : (chunk.byteLength / rate) * 1_000;
      if (waitMs === 0) done(null, chunk);
      else setTimeout(() => done(null, chunk), waitMs);
    },
  });
}
