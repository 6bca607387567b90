import { createHash } from "node:crypto";
import { ByteStream } from "@attestry/api/bytestream";
import { createClient, type Transport } from "@connectrpc/connect";
import { type BlobCall, callOptions, hexOf } from "./call.ts";
import { BlobError } from "./error.ts";

export interface DownloadOptions extends BlobCall {
  /** `sha256:<hex>`. */
  digest: string;
  /** Its size; a caller that does not know it asks `describeBlob` first. */
  sizeBytes: number;
}

/**
 * The bytes of a blob in one buffer. Throws the gateway's ConnectError (NOT_FOUND with BLOB_NOT_FOUND, ...), or
 * BlobError BLOB_CORRUPT when what came has another size or digest.
 */
export async function downloadBlob(transport: Transport, options: DownloadOptions): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readBlob(transport, options)) chunks.push(chunk);
  return Buffer.concat(chunks, options.sizeBytes);
}

/**
 * The bytes of a blob as they come. They are proven only when the iteration ends without an error: keep none of
 * them before. Ending the iteration early cancels the call. Throws as `downloadBlob` does.
 */
export async function* readBlob(
  transport: Transport,
  options: DownloadOptions,
): AsyncGenerator<Uint8Array, void, void> {
  const { digest, sizeBytes, signal } = options;
  const resourceName = `blobs/${hexOf(digest)}/${sizeBytes}`;
  const call = new AbortController();
  const abort = () => call.abort(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  const client = createClient(ByteStream, transport);
  const answers = client
    .read({ resourceName }, { ...callOptions(options), signal: call.signal })
    [Symbol.asyncIterator]();
  try {
    const hash = createHash("sha256");
    let received = 0;
    for (let step = await answers.next(); step.done !== true; step = await answers.next()) {
      const { data } = step.value;
      received += data.byteLength;
      if (received > sizeBytes) throw corrupt(`expected ${sizeBytes} bytes, got more`);
      hash.update(data);
      yield data;
    }
    if (received < sizeBytes) throw corrupt(`expected ${sizeBytes} bytes, got ${received}`);
    const actual = `sha256:${hash.digest("hex")}`;
    if (actual !== digest) throw corrupt(`expected the digest ${digest}, got ${actual}`);
  } finally {
    signal?.removeEventListener("abort", abort);
    // Ended early: the call lets go of its timers only when it is asked once more after the abort.
    call.abort();
    answers.next().catch(() => undefined);
  }
}

function corrupt(message: string): BlobError {
  return new BlobError("BLOB_CORRUPT", message);
}
