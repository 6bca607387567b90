import { type BodyPace, DomainError, tooSlow } from "@attestry/service-kit";
import { childController } from "../blobs/abortable.ts";

/**
 * Gives up on a client that lets us wait: one that sends no more of what it began, or too slowly, or takes no more of what it
 * asked for.
 */
export class ClientWatch {
  /** Aborts with the parent, and with DEADLINE_EXCEEDED when the client was waited for too long. */
  readonly signal: AbortSignal;
  readonly #release: () => void;
  readonly #timer: NodeJS.Timeout;
  readonly #pace: BodyPace;
  #isWaiting = false;
  /** What the client has sent, in bytes, and how long it was waited for meanwhile, in milliseconds. */
  #received = 0;
  #waitedMs = 0;

  /** @param pace how long the client may be waited for, and how fast it has to send */
  constructor(parent: AbortSignal, pace: BodyPace) {
    const { idleMs } = pace;
    this.#pace = pace;
    const { controller, release } = childController(parent);
    this.signal = controller.signal;
    this.#release = release;
    // One timer, put off again and again: one for each chunk would cost more than the chunk.
    this.#timer = setTimeout(() => {
      if (this.#isWaiting) controller.abort(silence(idleMs));
    }, idleMs).unref();
  }

  /** It is the client's turn. */
  waits(): void {
    this.#isWaiting = true;
    this.#timer.refresh();
  }

  /** The client did something. */
  heard(): void {
    this.#isWaiting = false;
  }

  /**
   * Passes on what the client sends, watching it where the next piece is asked for: time that we take counts for nothing.
   * Throws DEADLINE_EXCEEDED if it comes too slowly.
   */
  async *watching(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    this.waits();
    let sinceMs = performance.now();
    for await (const chunk of source) {
      this.heard();
      this.#count(chunk.byteLength, performance.now() - sinceMs);
      yield chunk;
      this.waits();
      sinceMs = performance.now();
    }
    this.heard();
  }

  #count(bytes: number, waitedMs: number): void {
    this.#received += bytes;
    this.#waitedMs += waitedMs;
    const slow = tooSlow(this.#pace, this.#received, this.#waitedMs);
    if (slow !== undefined) throw slow;
  }

  /** Due in every case. */
  close(): void {
    clearTimeout(this.#timer);
    this.#release();
  }
}

function silence(idleMs: number): DomainError {
  return new DomainError("DEADLINE_EXCEEDED", `the client was not heard of for ${idleMs} ms; the request was given up`);
}
