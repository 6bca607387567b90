import type { CasPrincipal } from "@attestry/service-kit";
import { isEmptyBlob } from "../blobs/blob-ref.ts";
import { readBlob } from "../blobs/read-blob.ts";
import { spacesOf } from "../blobs/stored-blobs.ts";
import { checkDigest } from "../callers/permissions.ts";
import type { Context } from "../context.ts";
import { digestField, representation, type Shown, validators } from "./blob-headers.ts";
import type { Exchange } from "./exchange.ts";
import { httpCaller, isLink } from "./http-caller.ts";
import { HttpRefusal } from "./http-refusal.ts";
import { byteRange, entityTag, hasPreconditions, judgePreconditions, rangeAsked } from "./preconditions.ts";
import { sendAnswer, sendChunks } from "./send-chunks.ts";

/**
 * GET and HEAD of a blob. A whole blob is proven before its last bytes go out: a corrupt one breaks off before its
 * Content-Length. Its size is known only once it is opened, so that a GET takes one round trip to the store; a HEAD, a range
 * and a precondition need it before.
 */
export async function getBlob(context: Context, exchange: Exchange): Promise<void> {
  const { request, response, url, watch } = exchange;
  const { headers: asked } = request;
  const { hex } = url;
  const caller = await httpCaller(context, exchange, "download");
  checkDigest(caller, hex);
  const shown: Shown = { hex, fileName: caller.fileName, byLink: isLink(request, url) };
  const tag = entityTag(hex);
  const isHead = request.method === "HEAD";
  const range = isHead ? undefined : rangeAsked(asked, tag);
  if (!isHead && range === undefined && !hasPreconditions(asked)) return sendWhole(context, exchange, caller, shown);

  const sizeBytes = await sizeOf(context, caller, hex, watch.signal);
  const judged = judgePreconditions(asked, tag);
  if (judged === "failed") throw new HttpRefusal(412, "PRECONDITION_FAILED", `If-Match does not name ${tag}`);
  if (judged === "not modified") return sendAnswer(request, response, { status: 304, headers: validators(shown) });
  if (isHead) {
    const headers = { ...representation(shown), "content-length": sizeBytes };
    return sendAnswer(request, response, { status: 200, headers });
  }
  const part = range === undefined ? "whole" : byteRange(range, sizeBytes);
  if (part === "unsatisfiable") throw unsatisfiable(range, sizeBytes);
  if (part === "whole") return sendWhole(context, exchange, caller, shown);
  const { offset, length } = part;
  const headers = {
    ...representation(shown),
    "content-length": length,
    "content-range": `bytes ${offset}-${offset + length - 1}/${sizeBytes}`,
  };
  const { signal } = watch;
  const chunks = readBlob(context, { caller, blob: { hex, sizeBytes }, offset, limit: length, signal });
  return sendChunks(response, { chunks, head: () => ({ status: 206, headers }), watch });
}

async function sendWhole(
  context: Context,
  { response, watch }: Exchange,
  caller: CasPrincipal,
  shown: Shown,
): Promise<void> {
  const { hex } = shown;
  let sizeBytes = isEmpty(hex) ? 0 : undefined;
  function onOpen(opened: number): void {
    sizeBytes = opened;
  }
  const asked = { caller, blob: { hex, sizeBytes }, offset: 0, limit: 0, signal: watch.signal, onOpen };
  const head = () => ({ status: 200, headers: whole(shown, sizeBytes ?? 0) });
  await sendChunks(response, { chunks: readBlob(context, asked), head, watch });
}

async function sizeOf(context: Context, caller: CasPrincipal, hex: string, signal: AbortSignal): Promise<number> {
  if (isEmpty(hex)) return 0;
  return (await context.blobs.describe(caller, hex, spacesOf(caller), signal)).value.sizeBytes;
}

/** It is always there, whatever the store says. */
function isEmpty(hex: string): boolean {
  return isEmptyBlob({ hex, sizeBytes: 0 });
}

/** Content-Digest is of what the message carries, so a part has none: to know it would take another read. */
function whole(shown: Shown, sizeBytes: number): Record<string, string | number> {
  return { ...representation(shown), "content-digest": digestField(shown.hex), "content-length": sizeBytes };
}

/** RFC 9110, section 15.5.17. */
function unsatisfiable(range: string | undefined, sizeBytes: number): HttpRefusal {
  return new HttpRefusal(
    416,
    "READ_OFFSET_OUT_OF_RANGE",
    `the blob has ${sizeBytes} bytes, and none of them in the range ${(range ?? "").slice(0, 100)}`,
    { "content-range": `bytes */${sizeBytes}` },
  );
}
