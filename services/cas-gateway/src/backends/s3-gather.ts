import { gatherBuffers, singlePutBytes } from "./s3-parts.ts";

/** So much each upload may hold without a turn. */
const freeBytes = 1024 * 1024;
const leastHeld = 64 * 1024;

/** The beginning of a source whose size is not known: all of it, if that is no more than one PUT takes. */
export class Gathered {
  #held: Uint8Array = Buffer.alloc(0);
  #filled = 0;
  #isWhole = false;
  #hasTurn = false;

  private constructor() {}

  /** Due to `release`. Throws what the source throws, and STORE_BUSY if too many gather at a time. */
  static async from(source: AsyncIterator<Uint8Array, void>, signal: AbortSignal): Promise<Gathered> {
    const gathered = new Gathered();
    try {
      while (gathered.#filled <= singlePutBytes && !gathered.#isWhole) {
        const step = await source.next();
        if (step.done === true) gathered.#isWhole = true;
        else await gathered.#add(step.value, signal);
      }
      return gathered;
    } catch (fault) {
      gathered.release();
      throw fault;
    }
  }

  get isWhole(): boolean {
    return this.#isWhole;
  }

  get sizeBytes(): number {
    return this.#filled;
  }

  /** What was gathered. Where more follows, it is held no more once it was taken. */
  async *bytes(): AsyncGenerator<Uint8Array, void, void> {
    yield this.#held.subarray(0, this.#filled);
    if (!this.#isWhole) this.release();
  }

  /** Safe to call twice. */
  release(): void {
    this.#held = Buffer.alloc(0);
    if (this.#hasTurn) gatherBuffers.endTurn(singlePutBytes);
    this.#hasTurn = false;
  }

  /** One chunk is not copied; of many, each is at once, as in `collect`. */
  async #add(chunk: Uint8Array, signal: AbortSignal): Promise<void> {
    const needed = this.#filled + chunk.byteLength;
    if (needed > freeBytes && !this.#hasTurn) {
      await gatherBuffers.turn(singlePutBytes, signal);
      this.#hasTurn = true;
    }
    if (this.#filled === 0) {
      this.#held = chunk;
    } else {
      // A full one may be the client's own.
      if (needed > this.#held.byteLength || this.#filled === this.#held.byteLength) this.#grow(needed);
      this.#held.set(chunk, this.#filled);
    }
    this.#filled = needed;
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#filled, needed, leastHeld));
    larger.set(this.#held.subarray(0, this.#filled));
    this.#held = larger;
  }
}
