import type { BatchReadBlobsRequest, Digest } from "@attestry/api/reapi";
import { type CasPrincipal, principal } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { type BlobRef, parseDigestMessage } from "../blobs/blob-ref.ts";
import { concurrently } from "../blobs/concurrently.ts";
import { readBlob } from "../blobs/read-blob.ts";
import {
  checkBatchBytes,
  checkDigestFunction,
  parseInstance,
  type Status,
  statusOf,
  statusOk,
} from "../blobs/reapi.ts";
import { checkDigest } from "../callers/permissions.ts";
import type { Context } from "../context.ts";

const readsAtATime = 8;

interface Response {
  digest: Digest;
  data?: Uint8Array;
  status: Status;
}

/** ContentAddressableStorage.BatchReadBlobs: each blob has its own status, as a Read of it would have. */
export async function batchReadBlobs(
  context: Context,
  request: BatchReadBlobsRequest,
  handler: HandlerContext,
): Promise<{ responses: Response[] }> {
  checkDigestFunction(request.digestFunction);
  const blobs = request.digests.map((digest) => ({ digest, blob: parseDigestMessage(digest) }));
  checkBatchBytes(blobs.map(({ blob }) => blob.sizeBytes));
  const caller = await context.callers.of(principal(handler), "download", parseInstance(request.instanceName));
  const responses = await concurrently(blobs, readsAtATime, async ({ digest, blob }): Promise<Response> => {
    return readOne(context, caller, blob, handler.signal).then(
      (data) => ({ digest, data, status: statusOk }),
      (error: unknown) => ({ digest, status: statusOf(error) }),
    );
  });
  return { responses };
}

async function readOne(
  context: Context,
  caller: CasPrincipal,
  blob: BlobRef,
  signal: AbortSignal,
): Promise<Uint8Array> {
  checkDigest(caller, blob.hex);
  const chunks: Uint8Array[] = [];
  for await (const chunk of readBlob(context, { caller, blob, offset: 0, limit: 0, signal })) chunks.push(chunk);
  return Buffer.concat(chunks);
}
