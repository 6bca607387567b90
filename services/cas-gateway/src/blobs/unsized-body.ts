import { blobTooLarge } from "./verified.ts";

/** The bytes of a blob whose size only their end tells. */
export class UnsizedBody {
  #sizeBytes = 0;
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #mostBytes: number;
  readonly #largeBytes: number;
  readonly #large = Promise.withResolvers<void>();

  /**
   * @param mostBytes what the blob may have
   * @param largeBytes from how many on it is large
   */
  constructor(source: AsyncIterable<Uint8Array>, { mostBytes, largeBytes }: { mostBytes: number; largeBytes: number }) {
    this.#source = source;
    this.#mostBytes = mostBytes;
    this.#largeBytes = largeBytes;
  }

  /** Bytes that came. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Resolves when more bytes than that came; never, if they do not. */
  get whenLarge(): Promise<void> {
    return this.#large.promise;
  }

  /** Throws BLOB_TOO_LARGE as soon as there are too many. */
  async *bytes(): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of this.#source) {
      this.#sizeBytes += chunk.byteLength;
      if (this.#sizeBytes > this.#mostBytes) throw blobTooLarge(this.#mostBytes, `at least ${this.#sizeBytes}`);
      if (this.#sizeBytes > this.#largeBytes) this.#large.resolve();
      yield chunk;
    }
  }
}
