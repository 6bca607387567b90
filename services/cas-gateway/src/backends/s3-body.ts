import type { IncomingHttpHeaders } from "node:http";
import type { Dispatcher } from "undici";

/** So many bytes wait for a slow reader. */
const mostHeld = 1024 * 1024;

/**
 * The body of an answer, in the chunks that the connection gives (64 KiB at most). Node's Readable between them would
 * take a third more of the processor's time, and to join them into larger ones doubles it (64 MiB: 47 ms as it is, 66 and
 * 89). For one reader.
 */
export class StoreBody {
  readonly statusCode: number;
  readonly headers: IncomingHttpHeaders;
  readonly #controller: Dispatcher.DispatchController;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #end: { fault: Error | undefined } | undefined;
  #wake: (() => void) | undefined;

  constructor(controller: Dispatcher.DispatchController, statusCode: number, headers: IncomingHttpHeaders) {
    this.#controller = controller;
    this.statusCode = statusCode;
    this.headers = headers;
  }

  push(chunk: Buffer): void {
    this.#held.push(chunk);
    this.#heldBytes += chunk.byteLength;
    if (this.#heldBytes >= mostHeld) this.#controller.pause();
    this.#wake?.();
  }

  end(fault: Error | undefined): void {
    this.#end ??= { fault };
    this.#wake?.();
  }

  /** Ends it before its time, and the connection with it; safe to call at any time. */
  destroy(reason: Error): void {
    if (this.#end !== undefined) return;
    this.end(reason);
    this.#controller.abort(reason);
  }

  /** Throws what ended the body before its time. */
  async *chunks(): AsyncGenerator<Buffer, void, void> {
    while (true) {
      if (this.#end?.fault !== undefined) throw this.#end.fault;
      const held = this.#held;
      if (held.length > 0) {
        this.#held = [];
        this.#heldBytes = 0;
        if (this.#controller.paused) this.#controller.resume();
        yield* held;
      } else if (this.#end !== undefined) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    }
  }
}
