import type { Writable } from "node:stream";
import type { NodeRequest, NodeResponse } from "@attestry/service-kit";
import { untilAborted } from "../blobs/abortable.ts";
import type { ClientWatch } from "./client-watch.ts";

export interface Head {
  status: number;
  headers: Record<string, string | number>;
}

/**
 * So many bytes wait for the client. Node's own mark is one chunk of the store, at which the two sides take turns instead of
 * working side by side.
 */
const mostWaiting = 512 * 1024;

/**
 * Sends chunks as fast as the client takes them, and resolves when it has taken all, or is gone. The head, which is asked for
 * then, is sent with the first chunk, so that a fault before it can still be answered. Throws what the source throws, and what
 * the watch aborts with; the body is then left shorter than its Content-Length.
 */
export async function sendChunks(
  response: NodeResponse,
  { chunks, head, watch }: { chunks: AsyncIterable<Uint8Array>; head: () => Head; watch: ClientWatch },
): Promise<void> {
  const body: Writable = response;
  let wake: () => void = () => undefined;
  for await (const chunk of chunks) {
    if (!response.headersSent) setHead(response, head());
    body.write(chunk, () => wake());
    while (body.writableLength > mostWaiting) {
      const sent = new Promise<void>((resolve) => {
        wake = resolve;
      });
      watch.waits();
      await untilAborted(() => sent, watch.signal);
      watch.heard();
    }
  }
  if (!response.headersSent) setHead(response, head());
  const over = new Promise<void>((resolve) => body.once("finish", resolve).once("close", resolve));
  body.end();
  // What waits still is watched as all before it was.
  wake = () => watch.waits();
  wake();
  await untilAborted(() => over, watch.signal);
}

/** Answers with what is at hand; without a body to HEAD, and to what has none. */
export function sendAnswer(request: NodeRequest, response: NodeResponse, head: Head, content?: Buffer): void {
  setHead(response, head);
  const body: Writable = response;
  if (content !== undefined && request.method !== "HEAD") body.write(content);
  body.end();
}

/** It goes out with the first bytes of the body. */
function setHead(response: NodeResponse, { status, headers }: Head): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}
