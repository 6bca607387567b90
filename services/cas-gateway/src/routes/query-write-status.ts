import type { QueryWriteStatusRequest } from "@attestry/api/bytestream";
import { principal } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { parseWriteName } from "../blobs/resource-name.ts";
import { checkDigest } from "../callers/permissions.ts";
import type { Context } from "../context.ts";

/**
 * ByteStream.QueryWriteStatus: complete if the blob is there, whoever wrote it; else nothing is committed, and the
 * write begins at 0. What came of a write that broke off is not kept.
 */
export async function queryWriteStatus(
  context: Context,
  request: QueryWriteStatusRequest,
  handler: HandlerContext,
): Promise<{ committedSize: bigint; complete: boolean }> {
  const name = parseWriteName(request.resourceName);
  const caller = await context.callers.of(principal(handler), "upload", name.instance);
  checkDigest(caller, name.hex);
  const complete = await context.blobs.isStored(caller, name, handler.signal);
  return { committedSize: complete ? BigInt(name.sizeBytes) : 0n, complete };
}
