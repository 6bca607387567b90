import { DomainError } from "@attestry/service-kit";
import { childController, untilAborted } from "../blobs/abortable.ts";

const mebibyte = 1024 * 1024;

/** Up to this size a blob is one PUT. */
export const singlePutBytes = 8 * mebibyte;
/** S3's limits: parts of at least 5 MiB but for the last, and at most 10,000 of them. */
export const leastPart = 5 * mebibyte;
export const mostParts = 10_000;
const smallestPart = 8 * mebibyte;
/** What an upload can have whose size nobody told: its parts cannot be made larger in time. */
export const mostUnsizedBytes = smallestPart * mostParts;

/** What all uploads of the process together may fill at a time; at least one part. */
const fillingBytes = 256 * mebibyte;
const longestWaitMs = 60_000;
/** What they may hold beyond the one part that each fills. */
const sharedBytes = 16 * mebibyte;
/** Buffers that wait for the next part: new memory costs the processor more than to copy 8 MiB into it. */
const mostIdle = 3;
const idleMs = 10_000;

/** Bytes of each part but the last of an upload of that many bytes. */
export function partSizeFor(sizeBytes: number): number {
  return Math.max(smallestPart, Math.ceil(sizeBytes / mostParts / mebibyte) * mebibyte);
}

/**
 * The whole source, of that many bytes, in one buffer. One chunk is not copied; of many, each is at once: a view of one
 * byte takes hundreds.
 */
export async function collect(source: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<Buffer> {
  let whole: Buffer | undefined;
  let filled = 0;
  for await (const chunk of source) {
    if (chunk.byteLength === 0) continue;
    if (chunk.byteLength === sizeBytes) whole = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    else {
      whole ??= Buffer.allocUnsafe(sizeBytes);
      whole.set(chunk, filled);
    }
    filled += chunk.byteLength;
  }
  return whole ?? Buffer.alloc(0);
}

interface Waiting {
  bytes: number;
  begin: () => void;
}

/**
 * The buffers of parts, for all uploads of the process: each upload may fill one, in its turn; for those on their way
 * while it does there is another budget, so that one upload is fast and two hundred are bounded.
 */
class PartBuffers {
  #filling = 0;
  readonly #waiting: Waiting[] = [];
  #idle: Buffer[] = [];
  #shared = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Whether others wait for their turn. */
  get isWanted(): boolean {
    return this.#waiting.length > 0;
  }

  /** Waits until an upload may fill a part of that many bytes; due to `endTurn` then. Throws STORE_BUSY after a minute. */
  async turn(bytes: number, signal: AbortSignal): Promise<void> {
    const turn = Promise.withResolvers<void>();
    const waiting = { bytes, begin: turn.resolve };
    this.#waiting.push(waiting);
    this.#begin();
    const { controller, release } = childController(signal, { ms: longestWaitMs, reason: busy });
    try {
      await untilAborted(() => turn.promise, controller.signal);
    } catch (fault) {
      const place = this.#waiting.indexOf(waiting);
      // It has begun in the same moment.
      if (place === -1) this.endTurn(bytes);
      else this.#waiting.splice(place, 1);
      this.#begin();
      throw fault;
    } finally {
      release();
    }
  }

  endTurn(bytes: number): void {
    this.#filling -= bytes;
    this.#begin();
  }

  #begin(): void {
    for (let [next] = this.#waiting; next !== undefined; [next] = this.#waiting) {
      if (this.#filling > 0 && this.#filling + next.bytes > fillingBytes) return;
      this.#filling += next.bytes;
      void this.#waiting.shift();
      next.begin();
    }
  }

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

function busy(): DomainError {
  return new DomainError("STORE_BUSY", "too many large uploads at a time for this process", { retryAfterMs: 5_000 });
}

export const partBuffers = new PartBuffers();
/** For what is gathered before it is known whether there will be parts: who has a turn here may wait for one there. */
export const gatherBuffers = new PartBuffers();
