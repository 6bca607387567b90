import type { WriteRequest } from "@attestry/api/bytestream";
import { principal } from "@attestry/service-kit";
import type { HandlerContext } from "@connectrpc/connect";
import { receiveWrite } from "../blobs/receive-write.ts";
import { storeBlob } from "../blobs/store-blob.ts";
import { decompressed } from "../blobs/zstd.ts";
import type { Context } from "../context.ts";

/**
 * ByteStream.Write: the rules are in `receiveWrite` and `storeBlob`. The committed size is the blob's; of a compressed
 * upload it is what came, or -1 if the blob was there already (Remote Execution API, ContentAddressableStorage).
 */
export async function write(
  context: Context,
  messages: AsyncIterable<WriteRequest>,
  handler: HandlerContext,
): Promise<{ committedSize: bigint }> {
  const { signal } = handler;
  const { names, config } = context;
  const pace = { idleMs: config.idleTimeoutMs, leastPerSecond: config.leastBytesPerSecond };
  const received = await receiveWrite(messages, { signal, names, pace });
  const { name: blob, whole, offset, body } = received;
  const { fileName } = blob;
  const caller = await context.callers.of(principal(handler), "upload", blob.instance);
  if (blob.compressor === "identity") {
    const upload = blob.uploadId === undefined ? undefined : { id: blob.uploadId, offset };
    const { sizeBytes } = await storeBlob(context, { caller, blob, body, whole, signal, upload, fileName });
    return { committedSize: BigInt(sizeBytes) };
  }
  const { organization } = caller;
  const bytes = decompressed(body, { organization, sizeBytes: blob.sizeBytes, signal });
  const { outcome } = await storeBlob(context, { caller, blob, body: bytes, whole, signal, fileName });
  return { committedSize: outcome === "existed" ? -1n : BigInt(received.receivedBytes()) };
}
