import { randomUUID } from "node:crypto";
import { ByteStream, type WriteRequestSchema } from "@attestry/api/bytestream";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { type BlobCall, callOptions, hexOf } from "./call.ts";
import { BlobError } from "./error.ts";

export interface UploadOptions extends BlobCall {
  /** `sha256:<hex>` of the bytes. */
  digest: string;
  bytes: Uint8Array | AsyncIterable<Uint8Array>;
  /** How many bytes there are. */
  sizeBytes: number;
  /** Called with the number of bytes handed over so far, after each message. */
  onProgress?: (bytes: number) => void;
}

type WriteRequestInit = MessageInitShape<typeof WriteRequestSchema>;

/** Bytes in one message: well under the 4 MiB that gRPC peers receive by default. */
const messageBytes = 1024 * 1024;

/**
 * Uploads a blob in messages of at most 1 MiB. Resolves when the gateway has it for good, which may be before
 * all bytes went out: a blob that is there already is answered at once. An upload of the same blob is safe to repeat.
 *
 * Throws the gateway's ConnectError, what `bytes` throws, or BlobError SIZE_MISMATCH when `bytes` gives more or fewer
 * than `sizeBytes`; in each case nothing is visible at the gateway.
 */
export async function uploadBlob(transport: Transport, options: UploadOptions): Promise<{ committedSize: number }> {
  const resourceName = `uploads/${randomUUID()}/blobs/${hexOf(options.digest)}/${options.sizeBytes}`;
  const source = new UploadSource(options);
  try {
    const response = await createClient(ByteStream, transport).write(
      source.requests(resourceName),
      callOptions(options),
    );
    return { committedSize: Number(response.committedSize) };
  } catch (error) {
    // A transport wraps what the request stream throws; the caller wants to see its own error.
    throw source.failure ?? error;
  }
}

/** Cuts the source into messages, and remembers why it failed. */
class UploadSource {
  failure: unknown;
  readonly #options: UploadOptions;

  constructor(options: UploadOptions) {
    this.#options = options;
  }

  async *requests(resourceName: string): AsyncIterable<WriteRequestInit> {
    const { bytes, sizeBytes, onProgress } = this.#options;
    let sent = 0;
    // One piece is held back: only when the source ended is it known to be the last, which carries finish_write.
    let held: Uint8Array = new Uint8Array(0);
    try {
      for await (const piece of pieces(bytes)) {
        if (sent + held.byteLength + piece.byteLength > sizeBytes) throw sizeMismatch(sizeBytes, "more");
        if (held.byteLength > 0) {
          yield { resourceName: sent === 0 ? resourceName : "", writeOffset: BigInt(sent), data: held };
          sent += held.byteLength;
          onProgress?.(sent);
        }
        held = piece;
      }
      if (sent + held.byteLength !== sizeBytes) throw sizeMismatch(sizeBytes, String(sent + held.byteLength));
    } catch (error) {
      this.failure = error;
      throw error;
    }
    yield { resourceName: sent === 0 ? resourceName : "", writeOffset: BigInt(sent), data: held, finishWrite: true };
    onProgress?.(sizeBytes);
  }
}

async function* pieces(bytes: Uint8Array | AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes) {
    for (let start = 0; start < chunk.byteLength; start += messageBytes) {
      yield chunk.subarray(start, start + messageBytes);
    }
  }
}

function sizeMismatch(expected: number, actual: string): BlobError {
  return new BlobError("SIZE_MISMATCH", `expected ${expected} bytes to upload, the source gave ${actual}`);
}
