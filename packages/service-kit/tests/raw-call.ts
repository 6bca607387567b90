import http2, { type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from "node:http2";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { reasonOf } from "../src/index.ts";
import { adminToken } from "./fake-module.ts";

/** What became of a call, as the bare HTTP/2 stream shows it. */
export interface Ending {
  /** `grpc-status`; undefined: none came. */
  status: string | undefined;
  reason: string | undefined;
  headers: IncomingHttpHeaders;
  bytes: Buffer;
  /** Of the reset. */
  code: number;
}

/** A call of ByteStream by a client that sends what it likes. */
export function rawCall(
  session: ClientHttp2Session,
  method: "Read" | "Write",
  more: Record<string, string> = {},
): { stream: ClientHttp2Stream; answered: Promise<IncomingHttpHeaders>; ended: Promise<Ending> } {
  const stream = session.request({
    ":method": "POST",
    ":path": `/google.bytestream.ByteStream/${method}`,
    "content-type": "application/grpc",
    te: "trailers",
    authorization: `Bearer ${adminToken}`,
    ...more,
  });
  let headers: IncomingHttpHeaders = {};
  const chunks: Buffer[] = [];
  const { promise: answered, resolve } = Promise.withResolvers<IncomingHttpHeaders>();
  stream.on("error", () => undefined);
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  for (const event of ["response", "trailers"] as const) {
    stream.on(event, (came: IncomingHttpHeaders) => {
      headers = { ...headers, ...came };
      if (came["grpc-status"] !== undefined) resolve(headers);
    });
  }
  const ended = new Promise<Ending>((resolveEnded) => {
    stream.once("close", () => resolveEnded(endingOf(headers, Buffer.concat(chunks), stream.rstCode ?? 0)));
  });
  return { stream, answered, ended };
}

function endingOf(headers: IncomingHttpHeaders, bytes: Buffer, code: number): Ending {
  const status = headers["grpc-status"] as string | undefined;
  const trailer = new Headers();
  for (const name of ["grpc-status", "grpc-message", "grpc-status-details-bin"]) {
    if (typeof headers[name] === "string") trailer.set(name, headers[name]);
  }
  return { status, reason: reasonOf(findTrailerError(trailer)), headers, bytes, code };
}

/** A message with its length before it. */
export function prefixed(message: Uint8Array, { flags = 0, length = message.length } = {}): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flags;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

export function connect(url: string): ClientHttp2Session {
  return http2.connect(url).on("error", () => undefined);
}

export async function until(condition: () => Promise<boolean> | boolean, ms = 5_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error("it did not come about");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
