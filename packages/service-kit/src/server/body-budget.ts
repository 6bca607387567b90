import { connectErrorOf } from "../errors/connect-error.ts";
import { DomainError } from "../errors/domain-error.ts";

/** The bytes of one call's body, counted against the budget until they are released. */
export interface BodyLease {
  /** Counts bytes that came. Throws STORE_BUSY as a Connect error. */
  take: (bytes: number) => void;
  /** @param unpacked Bytes that the body may become when it is decompressed, counted beside it; 0 if it is not compressed. */
  count(body: AsyncIterable<Uint8Array>, unpacked?: number): AsyncIterable<Uint8Array>;
  release: () => void;
}

export interface BodyBudget {
  lease(): BodyLease;
}

/**
 * One bound for the bytes of all unary calls in flight in the process, since each is held whole in memory until it is
 * answered. Past it a call gets STORE_BUSY with retry info.
 */
export function createBodyBudget(maxBytes: number): BodyBudget {
  let held = 0;

  function lease(): BodyLease {
    let mine = 0;
    let released = false;
    function take(bytes: number): void {
      // What is still in the pipe when the call has ended is nobody's to release.
      if (released) return;
      held += bytes;
      mine += bytes;
      // A call alone may pass the budget up to its own limit; otherwise it could never be served.
      if (held > maxBytes && held > mine) throw connectErrorOf(busy(maxBytes));
    }
    async function* count(body: AsyncIterable<Uint8Array>, unpacked = 0): AsyncGenerator<Uint8Array> {
      if (released) return;
      take(unpacked);
      for await (const chunk of body) {
        // What is still in the pipe when the call has ended is nobody's to release.
        if (released) return;
        take(chunk.length);
        yield chunk;
      }
    }
    function release(): void {
      held -= mine;
      mine = 0;
      released = true;
    }
    return { take, count, release };
  }

  return { lease };
}

function busy(maxBytes: number): DomainError {
  return new DomainError("STORE_BUSY", `the calls in flight hold ${maxBytes} bytes already; try again in a moment`, {
    retryAfterMs: 500,
  });
}
