import type { Digest, FindMissingBlobsRequest } from "@attestry/api/reapi";
import { principal } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { type BlobRef, parseDigestMessage } from "../blobs/blob-ref.ts";
import { checkDigestFunction, parseInstance } from "../blobs/reapi.ts";
import type { Context } from "../context.ts";

/**
 * ContentAddressableStorage.FindMissingBlobs: looks only in the caller's first backend and own key space, where an upload
 * would go. So an API token's backends are those of an upload, and it is refused as one (BACKEND_INLINE).
 */
export async function findMissingBlobs(
  context: Context,
  request: FindMissingBlobsRequest,
  handler: HandlerContext,
): Promise<{ missingBlobDigests: Digest[] }> {
  checkDigestFunction(request.digestFunction);
  const asked = new Map<string, BlobRef & { digest: Digest }>();
  for (const digest of request.blobDigests)
    asked.set(`${digest.hash}/${digest.sizeBytes}`, { digest, ...parseDigestMessage(digest) });
  const caller = await context.callers.of(principal(handler), "upload", parseInstance(request.instanceName));
  const missing = await context.blobs.missing(caller, [...asked.values()], handler.signal);
  return { missingBlobDigests: missing.map(({ digest }) => digest) };
}
