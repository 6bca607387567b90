import net from "node:net";

/** What a proxy does to the bytes of one direction. */
export type Treatment =
  | "pass"
  /** Takes them and holds them back until the treatment changes. */
  | "stall"
  /** Cuts the connection after so many more bytes of it. */
  | { cutAfter: number }
  /** A slow line: passes one piece on after the other, each so many milliseconds later. */
  | { delayMs: number }
  /** A long line: passes everything on so many milliseconds after it came, however much that is. */
  | { latencyMs: number };

export interface TcpProxy {
  port: number;
  /** To the target. */
  up: Treatment;
  /** From the target. */
  down: Treatment;
  /** Whether a new connection is taken; one that is not is reset. */
  takes: () => boolean;
  /** Bytes passed on so far, of all connections. */
  passed: { up: number; down: number };
  /** Resets every connection there is, or those that are chosen. */
  dropAll(chosen?: () => boolean): void;
  /**
   * Every connection there is ends for one side; the other is not told, and whatever it sends is lost, as when a
   * machine in between forgot the connection.
   */
  forget(side: "client" | "target"): void;
  /** Resets what is left of those, as the machine in between does when it is asked again. */
  dropForgotten(): void;
  close(): Promise<void>;
}

interface Connection {
  client: net.Socket;
  target: net.Socket;
  forgotten: boolean;
}

/** Of a long line. */
const mostOnItsWay = 8 * 1024 * 1024;

/** Stands between a client and a server, whatever they speak. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const connections = new Set<Connection>();
  const server = net.createServer((client) => {
    client.on("error", () => undefined);
    if (!proxy.takes()) {
      client.resetAndDestroy();
      return;
    }
    const target = net.connect(targetPort, "127.0.0.1").on("error", () => undefined);
    const connection: Connection = { client, target, forgotten: false };
    connections.add(connection);
    for (const socket of [client, target]) {
      socket.on("close", () => {
        if (connection.forgotten && !(client.destroyed && target.destroyed)) return;
        connections.delete(connection);
        client.destroy();
        target.destroy();
      });
    }
    void carry(connection, client, target, "up");
    void carry(connection, target, client, "down");
  });

  async function carry(connection: Connection, from: net.Socket, to: net.Socket, way: "up" | "down"): Promise<void> {
    let line = Promise.resolve();
    let onItsWay = 0;
    async function deliver(piece: Buffer, came: number): Promise<void> {
      while (proxy[way] === "stall" && !to.destroyed) await sleep(10);
      const passing = await treated(piece, came, way);
      onItsWay -= piece.length;
      proxy.passed[way] += passing.length;
      const flows = passing.length === 0 || to.write(passing);
      if (passing.length < piece.length) {
        // What was let through is to arrive before the end does.
        to.end(() => from.resetAndDestroy());
      } else if (!flows) await drained(to);
    }
    try {
      for await (const piece of from as AsyncIterable<Buffer>) {
        const came = performance.now();
        onItsWay += piece.length;
        line = line.then(() => deliver(piece, came));
        if (!isLong(proxy[way]) || onItsWay > mostOnItsWay) await line;
      }
      await line;
      if (!connection.forgotten) to.end();
    } catch {
      if (!connection.forgotten) to.destroy();
    }
  }

  /** What passes of the piece; if it is not all of it, the connection ends there. */
  async function treated(piece: Buffer, came: number, way: "up" | "down"): Promise<Buffer> {
    const treatment = proxy[way];
    if (typeof treatment === "string") return piece;
    if ("delayMs" in treatment) {
      await sleep(treatment.delayMs);
      return piece;
    }
    if ("latencyMs" in treatment) {
      await sleep(Math.max(0, came + treatment.latencyMs - performance.now()));
      return piece;
    }
    const passing = piece.subarray(0, treatment.cutAfter);
    treatment.cutAfter = Math.max(0, treatment.cutAfter - piece.length);
    return passing;
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const proxy: TcpProxy = {
    port: (server.address() as net.AddressInfo).port,
    up: "pass",
    down: "pass",
    takes: () => true,
    passed: { up: 0, down: 0 },
    dropAll(chosen = () => true) {
      for (const { client, target } of connections) {
        if (!chosen()) continue;
        client.resetAndDestroy();
        target.resetAndDestroy();
      }
    },
    forget(side) {
      for (const connection of connections) {
        connection.forgotten = true;
        connection[side].destroy();
      }
    },
    dropForgotten() {
      for (const { client, target, forgotten } of connections) {
        if (!forgotten) continue;
        client.resetAndDestroy();
        target.resetAndDestroy();
      }
    },
    close: async () => {
      for (const { client, target } of connections) {
        client.destroy();
        target.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}

function isLong(treatment: Treatment): boolean {
  return typeof treatment === "object" && "latencyMs" in treatment;
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
