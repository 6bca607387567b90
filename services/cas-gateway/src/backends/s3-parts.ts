const mebibyte = 1024 * 1024;

/** Up to this size a blob is one PUT. */
export const singlePutBytes = 8 * mebibyte;
/** S3's limits: parts of at least 5 MiB but for the last, and at most 10,000 of them. */
const smallestPart = 8 * mebibyte;
const mostParts = 10_000;

/** What all uploads of the process together may hold beyond the one part that each fills. */
const sharedBytes = 32 * mebibyte;
/** Buffers that wait for the next part: new memory costs the processor more than to copy 8 MiB into it. */
const mostIdle = 6;
const idleMs = 10_000;

/** Bytes of each part but the last of an upload of that many bytes. */
export function partSizeFor(sizeBytes: number): number {
  return Math.max(smallestPart, Math.ceil(sizeBytes / mostParts / mebibyte) * mebibyte);
}

/** The whole source in one buffer; one chunk is not copied. */
export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) if (chunk.byteLength > 0) chunks.push(chunk);
  const [only = new Uint8Array(0)] = chunks;
  return chunks.length > 1 ? Buffer.concat(chunks) : Buffer.from(only.buffer, only.byteOffset, only.byteLength);
}

/**
 * The buffers of parts, for all uploads of the process: each upload may fill one; for those on their way while it does
 * there is a common budget, so that one upload is fast and two hundred are bounded.
 */
class PartBuffers {
  #idle: Buffer[] = [];
  #shared = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Whether an upload may hold another part of that many bytes; due to `release` then. */
  reserve(bytes: number): boolean {
    if (this.#shared + bytes > sharedBytes) return false;
    this.#shared += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#shared -= bytes;
  }

  take(bytes: number): Buffer {
    const idle = bytes === smallestPart ? this.#idle.pop() : undefined;
    return idle ?? Buffer.allocUnsafeSlow(bytes);
  }

  /** Gives back a buffer that no request uses any more. */
  give(buffer: Buffer): void {
    if (buffer.byteLength !== smallestPart || this.#idle.length >= mostIdle) return;
    this.#idle.push(buffer);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#idle = [];
    }, idleMs).unref();
  }
}

export const partBuffers = new PartBuffers();
