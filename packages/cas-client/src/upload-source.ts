import { createHash } from "node:crypto";
import type { WriteRequestSchema } from "@attestry/api/bytestream";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { BlobError } from "./error.ts";

type WriteRequestInit = MessageInitShape<typeof WriteRequestSchema>;

/** Bytes in one message: well under the 4 MiB that gRPC peers receive by default. */
export const messageBytes = 1024 * 1024;

/** Gives the bytes of a blob from an offset to the end, as often as it is asked. */
export type OpenSource = (offset: number) => AsyncIterable<Uint8Array>;

export interface Announced {
  /** `sha256:<hex>` of the bytes. */
  digest: string;
  /** How many bytes there are. */
  sizeBytes: number;
}

/** Cuts a source into messages, and proves that it is what was announced. */
export class UploadSource {
  /** The furthest byte that was handed over. */
  handedOver = 0;
  readonly #announced: Announced;
  readonly #onProgress: ((bytes: number) => void) | undefined;
  readonly #hash = new RunningHash();

  constructor(announced: Announced, onProgress: ((bytes: number) => void) | undefined) {
    this.#announced = announced;
    this.#onProgress = onProgress;
  }

  /**
   * The messages of a write that begins at an offset, as `bytes` do. `onFailure` gets what the source throws: a
   * transport wraps it, and may throw its own faults into this.
   */
  async *requests(
    write: { resourceName: string; offset: number; onFailure: (error: unknown) => void },
    bytes: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<WriteRequestInit, void, void> {
    const { resourceName, offset, onFailure } = write;
    let sent = offset;
    let handingOver = false;
    const message = (data: Uint8Array) => ({
      resourceName: sent === offset ? resourceName : "",
      writeOffset: BigInt(sent),
      data,
    });
    // One piece is held back: only when the source ended is it known to be the last, which carries finish_write.
    let held: Uint8Array = new Uint8Array(0);
    try {
      for await (const piece of pieces(bytes)) {
        this.#take(sent + held.byteLength, piece);
        if (held.byteLength > 0) {
          handingOver = true;
          yield message(held);
          handingOver = false;
          sent += held.byteLength;
          this.#report(sent);
        }
        held = piece;
      }
      this.#prove(sent + held.byteLength);
    } catch (error) {
      if (!handingOver) onFailure(error);
      throw error;
    }
    yield { ...message(held), finishWrite: true };
    this.#report(this.#announced.sizeBytes);
  }

  #take(offset: number, piece: Uint8Array): void {
    const { sizeBytes } = this.#announced;
    if (offset + piece.byteLength > sizeBytes) throw sizeMismatch(sizeBytes, "more");
    this.#hash.update(offset, piece);
  }

  #prove(size: number): void {
    const { sizeBytes, digest } = this.#announced;
    if (size !== sizeBytes) throw sizeMismatch(sizeBytes, String(size));
    const actual = this.#hash.digestAt(sizeBytes);
    if (actual === undefined || actual === digest) return;
    throw new BlobError(
      "SOURCE_CHANGED",
      `expected bytes with the digest ${digest} to upload, the source gave ${actual}: was it changed meanwhile?`,
    );
  }

  #report(sent: number): void {
    this.handedOver = Math.max(this.handedOver, sent);
    this.#onProgress?.(sent);
  }
}

/**
 * Hashes each byte of a source once, however often it is read. What an earlier process sent is not read again: then
 * the gateway alone, which hashes all of it, can tell.
 */
class RunningHash {
  readonly #hash = createHash("sha256");
  #position = 0;
  #gap = false;

  update(offset: number, bytes: Uint8Array): void {
    if (offset > this.#position) this.#gap = true;
    if (this.#gap || offset + bytes.byteLength <= this.#position) return;
    this.#hash.update(bytes.subarray(this.#position - offset));
    this.#position = offset + bytes.byteLength;
  }

  /** Undefined if not all bytes before came by here. */
  digestAt(size: number): string | undefined {
    return this.#gap || this.#position !== size ? undefined : `sha256:${this.#hash.copy().digest("hex")}`;
  }
}

async function* pieces(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  for await (const chunk of bytes) {
    for (let start = 0; start < chunk.byteLength; start += messageBytes) {
      yield chunk.subarray(start, start + messageBytes);
    }
  }
}

function sizeMismatch(expected: number, actual: string): BlobError {
  return new BlobError("SIZE_MISMATCH", `expected ${expected} bytes to upload, the source gave ${actual}`);
}
