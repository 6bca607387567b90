import { DomainError } from "@attestry/service-kit";

// The frame format of Zstandard, RFC 8878, sections 3.1.1 and 3.1.2.
const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;
const descriptor = { singleSegment: 0x20, reserved: 0x08, checksum: 0x04 };
const dictionaryIdBytes = [0, 1, 2, 4];
const contentSizeBytes = [0, 2, 4, 8];
const checksumBytes = 4;

const magicBytes = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/**
 * Finds where frames begin and end, without looking into their blocks. Node's decoder has to be fed so: it drops what
 * follows a frame within one write without a word, and takes an end within a later frame for a good one.
 */
export class ZstdFrames {
  readonly #layout: Generator<Wanted, never, number>;
  #wanted: Wanted;
  #left: number;
  #value = 0n;

  /** @param mostEmpty frames, and blocks that hold nothing: each costs a turn of the decoder, whatever comes of it */
  constructor(mostEmpty: number) {
    this.#layout = layout(mostEmpty);
    this.#wanted = next(this.#layout);
    this.#left = this.#wanted.bytes;
  }

  /**
   * The chunk in pieces for the decoder, none of which has bytes of two frames, and none of frames that are to be skipped.
   * Throws COMPRESSED_INVALID.
   */
  *split(chunk: Uint8Array): Generator<Uint8Array, void, void> {
    let begun = 0;
    let at = 0;
    while (at < chunk.byteLength) {
      const wanted = this.#wanted;
      const count = Math.min(this.#left, chunk.byteLength - at);
      if (wanted.isNumber) this.#takeNumber(chunk.subarray(at, at + count));
      at += count;
      this.#left -= count;
      if (this.#left === 0) this.#advance();
      if (wanted.isDropped) {
        begun = at;
        // What the frame is was not known before all of this was there.
        if (this.#wanted.isOfBlocks) yield magicBytes;
      } else if (this.#isBetween()) {
        yield chunk.subarray(begun, at);
        begun = at;
      }
    }
    if (begun < chunk.byteLength) yield chunk.subarray(begun);
  }

  /** Throws COMPRESSED_INVALID if the last frame is not whole. */
  end(): void {
    if (!this.#isBetween()) throw compressedInvalid("it ends within a frame");
  }

  #isBetween(): boolean {
    return this.#wanted.isFirst === true && this.#left === this.#wanted.bytes;
  }

  #takeNumber(bytes: Uint8Array): void {
    let shift = BigInt(8 * (this.#wanted.bytes - this.#left));
    for (const byte of bytes) {
      this.#value |= BigInt(byte) << shift;
      shift += 8n;
    }
  }

  #advance(): void {
    do {
      this.#wanted = next(this.#layout, Number(this.#value));
      this.#left = this.#wanted.bytes;
      this.#value = 0n;
    } while (this.#left === 0);
  }
}

interface Wanted {
  bytes: number;
  /** A little-endian number that decides how it goes on; else passed over. */
  isNumber?: true;
  /** The first of a frame. */
  isFirst?: true;
  /** Not for the decoder as it came. */
  isDropped?: true;
  /** What follows the beginning of a frame that is for the decoder. */
  isOfBlocks?: true;
}

function next(frames: Generator<Wanted, never, number>, value = 0): Wanted {
  return frames.next(value).value;
}

/** What comes one after the other, for ever; each yield gives the number that was there. */
function* layout(mostEmpty: number): Generator<Wanted, never, number> {
  let empty = 0;
  function count(): void {
    empty++;
    if (empty > mostEmpty) throw compressedInvalid(`more than ${mostEmpty} frames, or blocks that hold nothing`);
  }
  while (true) {
    const magic = yield { bytes: 4, isNumber: true, isFirst: true, isDropped: true };
    count();
    if (magic >>> 4 === skippableMagic >>> 4) {
      const bytes = yield { bytes: 4, isNumber: true, isDropped: true };
      yield { bytes, isDropped: true };
    } else if (magic === frameMagic) {
      yield* frameAfterMagic(count);
    } else {
      throw compressedInvalid(`no frame begins with 0x${magic.toString(16).padStart(8, "0")}`);
    }
  }
}

function* frameAfterMagic(countEmpty: () => void): Generator<Wanted, void, number> {
  const flags = yield { bytes: 1, isNumber: true, isOfBlocks: true };
  if ((flags & descriptor.reserved) !== 0) throw compressedInvalid("a frame header has its reserved bit set");
  const isSingle = (flags & descriptor.singleSegment) !== 0;
  const sizeFlag = flags >>> 6;
  const windowBytes = isSingle ? 0 : 1;
  const sizeBytes = isSingle && sizeFlag === 0 ? 1 : (contentSizeBytes[sizeFlag] ?? 0);
  yield { bytes: windowBytes + (dictionaryIdBytes[flags & 3] ?? 0) + sizeBytes };
  let isLast = false;
  while (!isLast) {
    const header = yield { bytes: 3, isNumber: true };
    isLast = (header & 1) === 1;
    const type = (header >>> 1) & 3;
    if (type === 3) throw compressedInvalid("a block has the reserved type");
    if (header >>> 3 === 0) countEmpty();
    // An RLE block has one byte, however many it stands for.
    yield { bytes: type === 1 ? 1 : header >>> 3 };
  }
  if ((flags & descriptor.checksum) !== 0) yield { bytes: checksumBytes };
}

/** What came is no Zstandard data that is served here. */
export function compressedInvalid(fault: string, cause?: unknown): DomainError {
  return new DomainError("COMPRESSED_INVALID", `what came is not the blob compressed by zstd: ${fault}`, { cause });
}
