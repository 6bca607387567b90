import type { WriteRequest } from "@attestry/api/bytestream";
import { principal } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { receiveWrite } from "../blobs/receive-write.ts";
import { storeBlob } from "../blobs/store-blob.ts";
import type { Context } from "../context.ts";

/** ByteStream.Write: the rules are in `receiveWrite` and `storeBlob`. */
export async function write(
  context: Context,
  messages: AsyncIterable<WriteRequest>,
  handler: HandlerContext,
): Promise<{ committedSize: bigint }> {
  const { signal } = handler;
  const { name, whole, body } = await receiveWrite(messages, { signal, idleMs: context.config.idleTimeoutMs });
  const caller = await context.callers.of(principal(handler), "upload", name.instance);
  await storeBlob(context, { caller, blob: name, body, whole, signal });
  return { committedSize: BigInt(name.sizeBytes) };
}
