import { once } from "node:events";
import http2 from "node:http2";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Gateway, TestBlob } from "./harness.ts";

/** What a client of HTTP got, in either version. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

export interface Ask {
  method?: string;
  headers?: Record<string, string>;
  body?: Buffer;
}

/** A way to ask: the same tests for HTTP/1.1 and HTTP/2. */
export type Client = (url: string, ask?: Ask) => Promise<Answer>;

export function blobUrl(gateway: Gateway, { digest }: TestBlob, query = ""): string {
  return `${gateway.url}/v1/blobs/${digest}${query}`;
}

/** HTTP/1.1, by the client that Node has. Rejects if the answer breaks off. */
export async function ask1(url: string, { method = "GET", headers = {}, body }: Ask = {}): Promise<Answer> {
  const response = await fetch(url, { method, headers, body: body === undefined ? null : Uint8Array.from(body) });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: Object.fromEntries(response.headers), body: bytes };
}

/** HTTP/2 over cleartext. Rejects if the answer breaks off. */
export async function ask2(url: string, { method = "GET", headers = {}, body }: Ask = {}): Promise<Answer> {
  const { origin, pathname, search } = new URL(url);
  // Node refuses the answer while more than this of the request, 10 MB unless told, waits to be sent.
  const session = http2.connect(origin, { maxSessionMemory: 64 });
  try {
    const length = body === undefined ? {} : { "content-length": body.byteLength };
    const stream = session.request({ ":method": method, ":path": pathname + search, ...length, ...headers });
    stream.end(body);
    const [head] = (await once(stream, "response")) as [http2.IncomingHttpHeaders & { ":status": number }];
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    if (stream.rstCode !== 0) throw new Error(`the stream was reset with code ${stream.rstCode}`);
    const { ":status": status, ...rest } = head;
    const named = Object.entries(rest).map(([name, value]) => [name, String(value)]);
    return { status, headers: Object.fromEntries(named), body: Buffer.concat(chunks) };
  } finally {
    session.destroy();
  }
}

/** A connection on which anything can be said. */
export interface RawConnection {
  send(text: string | Buffer): void;
  /** All that came until it has this in it; rejects when the connection ends before. */
  until(text: string): Promise<string>;
  /** All that came until the other side ended the connection. */
  ended(): Promise<string>;
  received(): string;
  /** Takes nothing more. */
  pause(): void;
  /** Whether the other side ended it within so many milliseconds. */
  closedWithin(ms: number): Promise<boolean>;
  /** Ends it without a word. */
  drop(): void;
}

export async function rawConnection(gateway: Gateway): Promise<RawConnection> {
  const socket = connect(gateway.port, "127.0.0.1");
  let received = "";
  socket.on("data", (chunk) => (received += chunk.toString("latin1")));
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  await once(socket, "connect");
  return {
    send: (text) => void socket.write(text),
    received: () => received,
    until: async (text) => {
      while (!received.includes(text)) {
        if (socket.destroyed) throw new Error(`the connection ended after ${JSON.stringify(received.slice(0, 500))}`);
        await Promise.race([once(socket, "data"), closed]);
      }
      return received;
    },
    ended: async () => {
      await closed;
      return received;
    },
    pause: () => void socket.pause(),
    closedWithin: async (ms) => {
      // Who takes nothing hears of the end only when it says something.
      const writes = setInterval(() => socket.write("\r\n"), 100);
      const isClosed = await Promise.race([closed.then(() => true), sleep(ms, false, { ref: false })]);
      clearInterval(writes);
      socket.destroy();
      return isClosed;
    },
    drop: () => void socket.destroy(),
  };
}

/** The head of a request in HTTP/1.1. */
export function headOf(method: string, path: string, headers: Record<string, string | number>): string {
  const lines = Object.entries({ host: "gateway", ...headers }).map(([name, value]) => `${name}: ${value}`);
  return `${[`${method} ${path} HTTP/1.1`, ...lines].join("\r\n")}\r\n\r\n`;
}

/** The reason of a refusal. */
export function reasonOf({ body }: Answer): string | undefined {
  const { details } = JSON.parse(body.toString()) as { details?: { debug?: { reason?: string } }[] };
  return details?.[0]?.debug?.reason;
}
