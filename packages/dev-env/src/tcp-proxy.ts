import net from "node:net";

/** What a proxy does to the bytes of one direction. */
export type Treatment =
  | "pass"
  /** Takes them and holds them back until the treatment changes. */
  | "stall"
  /** Cuts the connection after so many more bytes of it. */
  | { cutAfter: number }
  /** Passes each piece on so many milliseconds later. */
  | { delayMs: number };

export interface TcpProxy {
  port: number;
  /** To the target. */
  up: Treatment;
  /** From the target. */
  down: Treatment;
  /** Bytes passed on so far, of all connections. */
  passed: { up: number; down: number };
  /** Resets every connection there is. */
  dropAll(): void;
  close(): Promise<void>;
}

/** Stands between a client and a server, whatever they speak. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const target = net.connect(targetPort, "127.0.0.1");
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        target.destroy();
      });
    }
    void carry(client, target, "up");
    void carry(target, client, "down");
  });

  async function carry(from: net.Socket, to: net.Socket, direction: "up" | "down"): Promise<void> {
    try {
      for await (const piece of from) {
        const passing = await treated(piece as Buffer, direction);
        if (passing === undefined) {
          from.resetAndDestroy();
          return;
        }
        proxy.passed[direction] += passing.length;
        if (!to.write(passing)) await drained(to);
      }
      to.end();
    } catch {
      to.destroy();
    }
  }

  /** What passes of the piece; undefined: the connection ends. */
  async function treated(piece: Buffer, direction: "up" | "down"): Promise<Buffer | undefined> {
    while (proxy[direction] === "stall") await sleep(10);
    const treatment = proxy[direction];
    if (typeof treatment === "string") return piece;
    if ("delayMs" in treatment) {
      await sleep(treatment.delayMs);
      return piece;
    }
    treatment.cutAfter -= piece.length;
    return treatment.cutAfter < 0 ? undefined : piece;
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const proxy: TcpProxy = {
    port: (server.address() as net.AddressInfo).port,
    up: "pass",
    down: "pass",
    passed: { up: 0, down: 0 },
    dropAll() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}

/** Or closed, when nothing drains any more. */
function drained(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    function settle(): void {
      socket.off("drain", settle).off("close", settle);
      resolve();
    }
    socket.on("drain", settle).on("close", settle);
    if (socket.destroyed) settle();
  });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref());
}
