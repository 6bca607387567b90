import { DomainError } from "@attestry/service-kit";
import { childController } from "../blobs/abortable.ts";

/** Gives up on a client that lets us wait: one that sends no more of what it began, or takes no more of what it asked for. */
export class ClientWatch {
  /** Aborts with the parent, and with DEADLINE_EXCEEDED when the client was waited for too long. */
  readonly signal: AbortSignal;
  readonly #release: () => void;
  readonly #timer: NodeJS.Timeout;
  #isWaiting = false;

  /** @param idleMs how long the client may be waited for, in milliseconds */
  constructor(parent: AbortSignal, idleMs: number) {
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

  /** Passes on what the client sends, watching it where the next piece is asked for. */
  async *watching<T>(source: AsyncIterable<T>): AsyncGenerator<T, void, void> {
    this.waits();
    for await (const item of source) {
      this.heard();
      yield item;
      this.waits();
    }
    this.heard();
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
