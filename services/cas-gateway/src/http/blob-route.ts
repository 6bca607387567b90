import type { HttpCall, HttpRoute, NodeRequest, NodeResponse } from "@attestry/service-kit";
import type { Context } from "../context.ts";
import { blobsPrefix, parseBlobUrl } from "./blob-url.ts";
import { ClientWatch } from "./client-watch.ts";
import type { Exchange } from "./exchange.ts";
import { getBlob } from "./get-blob.ts";
import { HttpRefusal, sendRefusal } from "./http-refusal.ts";
import { putBlob } from "./put-blob.ts";
import { sendAnswer } from "./send-chunks.ts";

const allowed = "GET, HEAD, PUT, OPTIONS";

/** Blobs for whatever speaks HTTP: GET, HEAD and PUT of `/v1/blobs/sha256:<hex>`. */
export function createBlobRoute(context: Context): HttpRoute {
  return {
    prefix: blobsPrefix,
    handle: (request, response, call) => handle(context, request, response, call),
  };
}

async function handle(context: Context, request: NodeRequest, response: NodeResponse, call: HttpCall): Promise<void> {
  const { idleTimeoutMs: idleMs, leastBytesPerSecond: leastPerSecond } = context.config;
  const watch = new ClientWatch(call.signal, { idleMs, leastPerSecond });
  try {
    await answer(context, { request, response, watch, authenticate: call.authenticate });
  } catch (error) {
    // Too late for an answer: the connection ends.
    if (response.headersSent) throw error;
    const byLink =
      request.method !== "PUT" && request.headers.authorization === undefined && /[?&]token=/.test(request.url ?? "");
    if (!sendRefusal(request, response, error, { byLink })) throw error;
    call.logger.info({ refusal: error instanceof Error ? error.message : String(error) }, "refused over HTTP");
  } finally {
    watch.close();
  }
}

async function answer(context: Context, asked: Omit<Exchange, "url">): Promise<void> {
  const { request, response } = asked;
  switch (request.method) {
    case "GET":
    case "HEAD":
      return getBlob(context, { ...asked, url: parseBlobUrl(request.url ?? "") });
    case "PUT":
      return putBlob(context, { ...asked, url: parseBlobUrl(request.url ?? "") });
    case "OPTIONS":
      return sendAnswer(request, response, { status: 204, headers: { allow: allowed } });
    default:
      throw new HttpRefusal(405, "REQUEST_MALFORMED", `a blob takes ${allowed}; came ${request.method}`, {
        allow: allowed,
      });
  }
}
