import http2 from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { GrpcTransportOptions } from "@connectrpc/connect-node";
import type { ClientTls } from "../settings.ts";

type SessionManager = NonNullable<GrpcTransportOptions["sessionManager"]>;

// Node's 64 KiB would hold a download back on every round trip. Per connection, of which there are at most three.
const windowBytes = 8 * 1024 * 1024;

// A peer that went away without a word is found out by a ping. Generous: on a slow line it waits behind what is sent.
const pingEveryMs = 20_000;
const pingAnswerMs = 60_000;

/**
 * One HTTP/2 connection for as long as a command runs. connect-node's own manager drops its error listener when a
 * connection goes away and can then end the process (connectrpc/connect-es#1768, #1795); this one keeps it.
 */
export class Session implements SessionManager {
  readonly authority: string;
  readonly #tls: ClientTls;
  #session: Promise<http2.ClientHttp2Session> | undefined;
  #open: http2.ClientHttp2Session | undefined;

  /** `address`: `http://host:port` (without TLS) or `https://host:port`. */
  constructor(address: string, tls: ClientTls) {
    this.authority = new URL(address).origin;
    this.#tls = tls;
  }

  async request(
    method: string,
    path: string,
    headers: http2.OutgoingHttpHeaders,
    options: Omit<http2.ClientSessionRequestOptions, "signal">,
  ): Promise<http2.ClientHttp2Stream> {
    if (this.#open?.closed || this.#open?.destroyed) this.#session = undefined;
    this.#session ??= this.#connect();
    const session = await this.#session;
    return session.request({ ...headers, ":method": method, ":path": path }, options);
  }

  notifyResponseByteRead(): void {}

  /** Bytes that went out on the connection so far; 0 without one. */
  bytesSent(): number {
    return this.#open?.destroyed === false ? this.#open.socket.bytesWritten : 0;
  }

  /** Ends the connection and what runs on it. */
  close(): void {
    this.#open?.destroy();
  }

  #connect(): Promise<http2.ClientHttp2Session> {
    return new Promise((resolve, reject) => {
      const session = http2.connect(this.authority, {
        settings: { initialWindowSize: windowBytes, enablePush: false },
        ...this.#tls,
      });
      this.#open = session;
      const fail = (error: Error) => {
        this.#session = undefined;
        const message = `cannot reach ${this.authority}: ${causeOf(error)}`;
        reject(new ConnectError(message, Code.Unavailable, undefined, undefined, error));
      };
      session.on("error", fail);
      // Of a TLS alert after the handshake the session says nothing, not even that it closes (Node 24).
      session.socket.on("error", fail);
      session.on("close", () => reject(new ConnectError(`${this.authority} closed the connection`, Code.Unavailable)));
      session.on("connect", () => {
        watch(session);
        session.setLocalWindowSize(windowBytes);
      });
      // In TLS 1.3 a server refuses a client's certificate only after the client holds the connection for made.
      session.on(this.authority.startsWith("https:") ? "remoteSettings" : "connect", () => resolve(session));
    });
  }
}

/** Ends a connection whose peer answers no pings. */
function watch(session: http2.ClientHttp2Session): void {
  let overdue: NodeJS.Timeout | undefined;
  const pings = setInterval(() => {
    if (overdue !== undefined || session.closed || session.destroyed) return;
    overdue = setTimeout(() => session.destroy(new Error("the peer does not answer any more")), pingAnswerMs);
    session.ping(() => {
      clearTimeout(overdue);
      overdue = undefined;
    });
  }, pingEveryMs);
  session.on("close", () => {
    clearInterval(pings);
    clearTimeout(overdue);
  });
}

// A name with several addresses fails with one error for each, and no message of its own.
function causeOf(error: Error): string {
  const causes = error instanceof AggregateError ? (error.errors as Error[]) : [error];
  return causes.map(({ message }) => message).join("; ");
}
