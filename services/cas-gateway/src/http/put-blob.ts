import {
  type CasPrincipal,
  DomainError,
  type NodeRequest,
  type NodeResponse,
  requestBody,
} from "@attestry/service-kit";
import { untilAborted } from "../blobs/abortable.ts";
import { digestOf, parseSize } from "../blobs/blob-ref.ts";
import { storeBlob } from "../blobs/store-blob.ts";
import { uploadBackend } from "../blobs/stored-blobs.ts";
import { checkUpload } from "../callers/permissions.ts";
import type { Context } from "../context.ts";
import { checkDigestFields } from "./body-digest.ts";
import type { ClientWatch } from "./client-watch.ts";
import type { Exchange } from "./exchange.ts";
import { httpCaller } from "./http-caller.ts";
import { HttpRefusal } from "./http-refusal.ts";
import { entityTag, hasPreconditions, judgePreconditions } from "./preconditions.ts";
import { sendAnswer } from "./send-chunks.ts";

/**
 * PUT of a blob: 201 when it was stored, 200 when it was there already. All that can be refused by the head of the request is
 * refused before a byte of its body is asked for. Preconditions are those of RFC 9110, section 13.
 */
export async function putBlob(context: Context, exchange: Exchange): Promise<void> {
  const { request, response, url, watch } = exchange;
  const { hex } = url;
  const caller = await httpCaller(context, exchange, "upload");
  const sizeBytes = contentLength(request);
  checkPlainBody(request);
  checkDigestFields(request.headers, hex);
  const blob = { hex, sizeBytes };
  checkUpload(caller, blob);

  const isConditional = hasPreconditions(request.headers);
  const isAsked = isConditional || isPatient(request);
  const isThere = isAsked && (await context.blobs.isStored(caller, blob, watch.signal));
  if (isConditional) checkPreconditions(request, hex, isThere);
  const body = watch.watching(bodyOf(request, response));
  const outcome = isThere
    ? existing(context, caller)
    : (await storeBlob(context, { caller, blob, body, whole: isAsked, signal: watch.signal })).outcome;
  if (outcome === "existed" && isConditional) checkPreconditions(request, hex, true);
  // One who does not wait to be asked sends all before it looks for the answer, and takes a connection that ends for a fault.
  if (outcome === "existed" && !isPatient(request)) await discardBody(request, watch);
  const answer = Buffer.from(`${JSON.stringify({ digest: digestOf(hex), sizeBytes })}\n`);
  const head = {
    status: outcome === "stored" ? 201 : 200,
    headers: { "content-type": "application/json", "content-length": answer.byteLength, etag: entityTag(hex) },
  };
  sendAnswer(request, response, head, answer);
}

function existing({ telemetry }: Context, caller: CasPrincipal): "existed" {
  telemetry.existed(uploadBackend(caller).provider);
  return "existed";
}

/** Throws PRECONDITION_FAILED. What is there is never another blob, so that "not there" and "there" are all that there is to ask for. */
function checkPreconditions({ headers }: NodeRequest, hex: string, isThere: boolean): void {
  const tag = entityTag(hex);
  const isMet = isThere ? judgePreconditions(headers, tag) === "read" : headers["if-match"] === undefined;
  if (isMet) return;
  throw new HttpRefusal(412, "PRECONDITION_FAILED", `the blob ${tag} is ${isThere ? "" : "not "}there`);
}

/** Whether the client waits to be asked for the body: RFC 9110, section 10.1.1. */
function isPatient({ headers }: NodeRequest): boolean {
  return headers.expect?.toLowerCase() === "100-continue";
}

async function* bodyOf(request: NodeRequest, response: NodeResponse): AsyncGenerator<Buffer, void, void> {
  if (isPatient(request)) response.writeContinue();
  yield* requestBody(request);
}

/** Lets the rest of the body go by, no slower than it may come. Throws what the watch aborts with, or throws. */
async function discardBody(request: NodeRequest, watch: ClientWatch): Promise<void> {
  if (request.readableEnded) return;
  async function drain(): Promise<void> {
    for await (const _ of watch.watching(requestBody(request)));
  }
  await untilAborted(drain, watch.signal);
}

/** RFC 9110, section 15.5.12: the size is part of what is promised, so that a body that breaks off is none. */
function contentLength({ headers }: NodeRequest): number {
  const text = headers["content-length"];
  if (text === undefined || headers["transfer-encoding"] !== undefined)
    throw new HttpRefusal(411, "REQUEST_MALFORMED", "a PUT needs the blob's size in the header Content-Length");
  const sizeBytes = parseSize(text);
  if (sizeBytes !== undefined) return sizeBytes;
  throw new DomainError(
    "REQUEST_MALFORMED",
    `Content-Length must be a size in bytes; came ${JSON.stringify(text.slice(0, 100))}`,
  );
}

/** The body must be the blob, all of it and as it is: RFC 9110, sections 8.4 and 14.5. */
function checkPlainBody({ headers }: NodeRequest): void {
  const coding = headers["content-encoding"] ?? "identity";
  if (coding.toLowerCase() !== "identity")
    throw new HttpRefusal(415, "REQUEST_MALFORMED", `Content-Encoding must be identity; came ${coding.slice(0, 100)}`, {
      "accept-encoding": "identity",
    });
  if (headers["content-range"] !== undefined)
    throw new DomainError("REQUEST_MALFORMED", "a PUT has the whole blob; came one with Content-Range");
}
