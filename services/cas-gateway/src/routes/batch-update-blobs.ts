import type { BatchUpdateBlobsRequest, BatchUpdateBlobsRequest_Request, Digest } from "@attestry/api/reapi";
import { type CasPrincipal, principal } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { parseDigestMessage } from "../blobs/blob-ref.ts";
import { concurrently } from "../blobs/concurrently.ts";
import { once } from "../blobs/once.ts";
import {
  checkBatchBytes,
  checkDigestFunction,
  parseCompressor,
  parseInstance,
  type Status,
  statusOf,
  statusOk,
} from "../blobs/reapi.ts";
import { storeBlob } from "../blobs/store-blob.ts";
import { decompressed } from "../blobs/zstd.ts";
import type { Context } from "../context.ts";

const writesAtATime = 8;

interface Response {
  digest?: Digest;
  status: Status;
}

/** ContentAddressableStorage.BatchUpdateBlobs: each blob has its own status, as a Write of it would have. */
export async function batchUpdateBlobs(
  context: Context,
  request: BatchUpdateBlobsRequest,
  handler: HandlerContext,
): Promise<{ responses: Response[] }> {
  checkDigestFunction(request.digestFunction);
  // Compressed blobs count with their own size, as the API has it, and not with less than what came.
  checkBatchBytes(request.requests.map(({ data, digest }) => Math.max(data.byteLength, sizeOf(digest))));
  const caller = await context.callers.of(principal(handler), "upload", parseInstance(request.instanceName));
  const responses = await concurrently(request.requests, writesAtATime, async (one) => {
    const status = await storeOne(context, caller, one, handler.signal).then(() => statusOk, statusOf);
    return { ...(one.digest && { digest: one.digest }), status };
  });
  return { responses };
}

async function storeOne(
  context: Context,
  caller: CasPrincipal,
  { digest, data, compressor }: BatchUpdateBlobsRequest_Request,
  signal: AbortSignal,
): Promise<void> {
  const blob = parseDigestMessage(digest);
  const isPlain = parseCompressor(compressor) === "identity";
  const { organization } = caller;
  const body = isPlain ? once(data) : decompressed(once(data), { organization, sizeBytes: blob.sizeBytes, signal });
  await storeBlob(context, { caller, blob, body, whole: true, signal });
}

/** What is no size is refused with its blob. */
function sizeOf(digest: Digest | undefined): number {
  return Math.max(0, Number(digest?.sizeBytes ?? 0n));
}
