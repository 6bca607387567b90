import type { Server as Http1Server } from "node:http";
import type { Http2Server } from "node:http2";
import net from "node:net";
import type { TLSSocket, Server as TlsServer } from "node:tls";
import type { ConnectionTelemetry } from "./connection-telemetry.ts";

// RFC 9113 section 3.4: what a client sends first on a cleartext HTTP/2 connection.
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** RFC 8446 section 5.1: the first byte of a TLS connection, the type of a record with a handshake message. */
const handshakeRecord = 0x16;

const plaintextRefusal = "this port speaks TLS: use https://\n";
const plaintextAnswer = [
  "HTTP/1.1 400 Bad Request",
  "content-type: text/plain",
  `content-length: ${plaintextRefusal.length}`,
  "connection: close",
  "",
  plaintextRefusal,
].join("\r\n");

export interface PortSnifferOptions {
  http1: Http1Server;
  http2: Http2Server;
  /** With it the port speaks TLS, and nothing else. */
  tls: TlsServer | undefined;
  /** Connections that are open at a time; what comes beyond is ended at once. */
  maxConnections: number;
  /** How long a connection may say nothing, in milliseconds. */
  firstBytesMs: number;
  telemetry: ConnectionTelemetry;
}

export interface PortSniffer {
  server: net.Server;
  /** Ends the connections that have not said what they are. */
  destroyUndecided: () => void;
  /** Ends every connection at once. */
  destroySockets: () => void;
}

/**
 * One port for HTTP/2 and HTTP/1.1. In cleartext it reads just enough of the first bytes to tell them apart, and hands
 * the socket on; over TLS the two sides agree on one (ALPN).
 */
export function createPortSniffer(options: PortSnifferOptions): PortSniffer {
  const { http1, http2, tls, maxConnections, firstBytesMs, telemetry } = options;
  const sockets = new Set<net.Socket>();
  const undecided = new Set<net.Socket>();

  function handOver(socket: net.Socket, read: Buffer): void {
    socket.removeAllListeners("readable");
    socket.off("timeout", tooSlow);
    socket.setTimeout(0);
    undecided.delete(socket);
    socket.unshift(read);
    const target = tls ?? (isPreface(read) ? http2 : http1);
    target.emit("connection", socket);
  }

  const server = net.createServer((socket) => {
    sockets.add(socket);
    undecided.add(socket);
    telemetry.opened();
    socket.once("close", () => {
      telemetry.closed();
      sockets.delete(socket);
      undecided.delete(socket);
    });
    socket.on("error", () => socket.destroy());
    socket.setNoDelay(true);
    socket.setTimeout(firstBytesMs);
    socket.on("timeout", tooSlow);
    let read: Buffer = Buffer.alloc(0);
    socket.on("readable", () => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      read = read.length === 0 ? chunk : Buffer.concat([read, chunk]);
      if (tls !== undefined && read[0] !== handshakeRecord) refusePlaintext(socket);
      else if (tls !== undefined || !isPreface(read) || read.length >= preface.length) handOver(socket, read);
    });
  });
  server.maxConnections = maxConnections;
  server.on("drop", () => telemetry.refused());
  tls?.on("secureConnection", (socket: TLSSocket) => {
    // Without a word of the client's on the protocol it is HTTP/1.1 (RFC 9113, section 3.2).
    (socket.alpnProtocol === "h2" ? http2 : http1).emit("connection", socket);
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

/** In words that a person at a browser or curl reads; other clients see that the connection ends. */
function refusePlaintext(socket: net.Socket): void {
  socket.removeAllListeners("readable").resume();
  socket.end(plaintextAnswer, () => socket.destroySoon());
}

function tooSlow(this: net.Socket): void {
  this.destroy();
}

/** Whether the bytes are the beginning of the preface, or begin with it. */
function isPreface(read: Buffer): boolean {
  const length = Math.min(read.length, preface.length);
  return read.compare(preface, 0, length, 0, length) === 0;
}
