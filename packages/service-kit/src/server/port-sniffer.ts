import type { Server as Http1Server } from "node:http";
import type { Http2Server } from "node:http2";
import net from "node:net";

// RFC 9113 section 3.4: what a client sends first on a cleartext HTTP/2 connection.
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const firstBytesTimeoutMs = 5_000;

export interface PortSniffer {
  server: net.Server;
  /** Ends the connections that have not said what they are. */
  destroyUndecided: () => void;
  /** Ends every connection at once. */
  destroySockets: () => void;
}

/**
 * One cleartext port for HTTP/2 and HTTP/1.1: reads just enough of the first bytes to tell them apart, and hands the
 * socket on. (Over TLS, ALPN does this.)
 */
export function createPortSniffer(http1: Http1Server, http2: Http2Server): PortSniffer {
  const sockets = new Set<net.Socket>();
  const undecided = new Set<net.Socket>();

  function handOver(socket: net.Socket, read: Buffer): void {
    socket.removeAllListeners("readable");
    socket.off("timeout", tooSlow);
    socket.setTimeout(0);
    undecided.delete(socket);
    socket.unshift(read);
    const target = isPreface(read) ? http2 : http1;
    target.emit("connection", socket);
  }

  const server = net.createServer((socket) => {
    sockets.add(socket);
    undecided.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      undecided.delete(socket);
    });
    socket.on("error", () => socket.destroy());
    socket.setNoDelay(true);
    socket.setTimeout(firstBytesTimeoutMs);
    socket.on("timeout", tooSlow);
    let read: Buffer = Buffer.alloc(0);
    socket.on("readable", () => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      read = read.length === 0 ? chunk : Buffer.concat([read, chunk]);
      if (!isPreface(read) || read.length >= preface.length) handOver(socket, read);
    });
  });
  return {
    server,
    destroyUndecided: () => {
      for (const socket of undecided) socket.destroy();
    },
    destroySockets: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function tooSlow(this: net.Socket): void {
  this.destroy();
}

/** Whether the bytes are the beginning of the preface, or begin with it. */
function isPreface(read: Buffer): boolean {
  const length = Math.min(read.length, preface.length);
  return read.compare(preface, 0, length, 0, length) === 0;
}
