import type { QueryWriteStatusRequest } from "@attestry/api/bytestream";
import { principal } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { parseWriteName } from "../blobs/resource-name.ts";
import { checkDigest } from "../callers/permissions.ts";
import type { Context } from "../context.ts";

/**
 * ByteStream.QueryWriteStatus: complete if the blob is there, whoever wrote it, and proven, which may take a read of
 * it; else where the upload goes on. A compressed one begins again at 0.
 */
export async function queryWriteStatus(
  context: Context,
  request: QueryWriteStatusRequest,
  handler: HandlerContext,
): Promise<{ committedSize: bigint; complete: boolean }> {
  const { signal } = handler;
  const name = parseWriteName(request.resourceName);
  const caller = await context.callers.of(principal(handler), "upload", name.instance);
  checkDigest(caller, name.hex);
  if (await context.blobs.isStored(caller, name, signal))
    return { committedSize: BigInt(name.sizeBytes), complete: true };
  if (name.compressor !== "identity") return { committedSize: 0n, complete: false };
  const { backend, key } = await context.blobs.uploadPlace(caller, name.hex);
  const committed = await backend.committed(key, name, name.uploadId, signal);
  return { committedSize: BigInt(committed), complete: false };
}
