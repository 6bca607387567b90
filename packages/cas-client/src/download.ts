import { createHash } from "node:crypto";
import { ByteStream } from "@attestry/api/bytestream";
import { createClient, type Transport } from "@connectrpc/connect";
import { type BlobCall, callOptions, hexOf } from "./call.ts";
import { BlobError } from "./error.ts";
import { type Attempt, Deadline, type Persistence, persist } from "./persist.ts";

export interface DownloadOptions extends BlobCall, Persistence {
  /** `sha256:<hex>`. */
  digest: string;
  /** Its size; a caller that does not know it asks `describeBlob` first. */
  sizeBytes: number;
  /** First byte to read. Default: 0. */
  offset?: number | undefined;
  /** How many bytes to read at most. Default: all. */
  limit?: number | undefined;
}

/** The bytes of a blob, or of a range of it, in one buffer. Throws as `readBlob` does. */
export async function downloadBlob(transport: Transport, options: DownloadOptions): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readBlob(transport, options)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * The bytes of a blob, or of a range of it, as they come. After a fault that may pass it goes on at the byte where it
 * broke off, as long as `timeoutMs` and `stallMs` allow. The bytes of a whole blob are proven only when the iteration
 * ends without an error: keep none of them before. A range has no digest: of it only the size is proven. Ending the
 * iteration early cancels the call.
 *
 * Throws the gateway's ConnectError (NOT_FOUND with BLOB_NOT_FOUND, OUT_OF_RANGE, ...), what `token` throws, or
 * BlobError BLOB_CORRUPT when what came has another size or digest.
 */
export async function* readBlob(
  transport: Transport,
  options: DownloadOptions,
): AsyncGenerator<Uint8Array, void, void> {
  const { digest, sizeBytes, offset = 0, limit = Number.POSITIVE_INFINITY } = options;
  hexOf(digest);
  const end = Math.max(offset, Math.min(sizeBytes, offset + limit));
  if (end === offset && offset < sizeBytes) return;
  const whole = offset === 0 && end === sizeBytes;
  const hash = createHash("sha256");
  const deadline = new Deadline(options.timeoutMs);
  let position = offset;
  let stream: BlobStream | undefined;
  const nextChunk = async (call: Attempt) => {
    stream ??= await BlobStream.open(transport, options, { position, end }, deadline.leftMs());
    try {
      return await stream.next(call.signal);
    } catch (error) {
      stream.close();
      stream = undefined;
      // All is here; only how the call ended is not known.
      if (position === end && end > offset) return undefined;
      throw error;
    }
  };
  try {
    for (;;) {
      const reachedBefore = options.reachedBefore || position > offset;
      const chunk = await persist({ ...options, reachedBefore, deadline, progress: () => position }, nextChunk);
      if (chunk === undefined) break;
      position += chunk.byteLength;
      if (position > end) throw corrupt(`expected ${end - offset} bytes, got more`);
      if (whole) hash.update(chunk);
      yield chunk;
    }
    if (position < end) throw corrupt(`expected ${end - offset} bytes, got ${position - offset}`);
    const actual = `sha256:${hash.digest("hex")}`;
    if (whole && actual !== digest) throw corrupt(`expected the digest ${digest}, got ${actual}`);
  } finally {
    stream?.close();
  }
}

/** One call of ByteStream.Read. */
class BlobStream {
  readonly #call: AbortController;
  readonly #answers: AsyncIterator<{ data: Uint8Array }>;

  private constructor(call: AbortController, answers: AsyncIterator<{ data: Uint8Array }>) {
    this.#call = call;
    this.#answers = answers;
  }

  static async open(
    transport: Transport,
    options: DownloadOptions,
    range: { position: number; end: number },
    timeoutMs: number | undefined,
  ): Promise<BlobStream> {
    const { digest, sizeBytes, token } = options;
    const call = new AbortController();
    const settings = await callOptions({ token, signal: call.signal, timeoutMs });
    const request = {
      resourceName: `blobs/${hexOf(digest)}/${sizeBytes}`,
      readOffset: BigInt(range.position),
      // 0: no limit.
      readLimit: range.end < sizeBytes ? BigInt(range.end - range.position) : 0n,
    };
    const answers = createClient(ByteStream, transport).read(request, settings);
    return new BlobStream(call, answers[Symbol.asyncIterator]());
  }

  /** Undefined at the end. An abort ends the whole call. */
  async next(signal: AbortSignal): Promise<Uint8Array | undefined> {
    const abort = () => this.#call.abort(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    try {
      const step = await this.#answers.next();
      return step.done === true ? undefined : step.value.data;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  close(): void {
    // Ended early: the call lets go of its timers only when it is asked once more after the abort.
    this.#call.abort();
    this.#answers.next().catch(() => undefined);
  }
}

function corrupt(message: string): BlobError {
  return new BlobError("BLOB_CORRUPT", message);
}
