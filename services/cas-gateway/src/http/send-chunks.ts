import type { Writable } from "node:stream";
import type { NodeRequest, NodeResponse } from "@attestry/service-kit";
import { untilAborted } from "../blobs/abortable.ts";
import type { ClientWatch } from "./client-watch.ts";

export interface Head {
  status: number;
  headers: Record<string, string | number>;
}

/**
 * Sends chunks as fast as the client takes them. The head, which is asked for then, is sent with the first chunk, so
 * that a fault before it can still be answered. Throws what the source throws, and what the watch aborts with; the body is then
 * left shorter than its Content-Length.
 */
export async function sendChunks(
  response: NodeResponse,
  { chunks, head, watch }: { chunks: AsyncIterable<Uint8Array>; head: () => Head; watch: ClientWatch },
): Promise<void> {
  const body: Writable = response;
  for await (const chunk of chunks) {
    if (!response.headersSent) setHead(response, head());
    if (body.write(chunk)) continue;
    watch.waits();
    await untilAborted(() => new Promise<void>((resolve) => body.once("drain", resolve)), watch.signal);
    watch.heard();
  }
  if (!response.headersSent) setHead(response, head());
  body.end();
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
