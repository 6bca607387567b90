import { connectErrorOf } from "../errors/connect-error.ts";
import { DomainError } from "../errors/domain-error.ts";
import { type BodyPace, tooSlow } from "./body-pace.ts";
import { callerIdle } from "./caller-gone.ts";

/** The bytes of one call's body, counted against the budget until they are released. */
export interface BodyLease {
  /** Counts them as that caller's, too: an organization must not take the room of all others. */
  ownedBy(caller: string): void;
  /** What it counts now, in bytes. */
  held(): number;
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
 * answered. Past it a call gets STORE_BUSY with retry info, and past its half a caller that holds a quarter does.
 * @param pace how slow a body may be while it is counted
 */
export function createBodyBudget(maxBytes: number, pace: BodyPace): BodyBudget {
  let held = 0;
  const accounts = new Map<string, Account>();

  function lease(): BodyLease {
    let mine = 0;
    let released = false;
    let account: Account | undefined;
    function ownedBy(caller: string): void {
      if (released || account !== undefined) return;
      account = accounts.get(caller) ?? { caller, held: 0, leases: 0 };
      accounts.set(caller, account);
      account.leases++;
      account.held += mine;
    }
    function isFull(): boolean {
      // A call alone may pass the budget up to its own limit; otherwise it could never be served.
      if (held > maxBytes) return held > mine;
      return account !== undefined && held > maxBytes / 2 && account.held > maxBytes / 4 && account.held > mine;
    }
    function take(bytes: number): void {
      // What is still in the pipe when the call has ended is nobody's to release.
      if (released) return;
      held += bytes;
      mine += bytes;
      if (account !== undefined) account.held += bytes;
      if (!isFull()) return;
      // What is refused is not kept: until its stream closes, others would be kept out by it.
      release();
      throw connectErrorOf(busy(maxBytes));
    }
    async function* count(body: AsyncIterable<Uint8Array>, unpacked = 0): AsyncGenerator<Uint8Array> {
      if (released) return;
      take(unpacked);
      for await (const chunk of inTime(body, pace)) {
        // What is still in the pipe when the call has ended is nobody's to release.
        if (released) return;
        take(chunk.length);
        yield chunk;
      }
    }
    function release(): void {
      if (released) return;
      held -= mine;
      if (account !== undefined) {
        account.held -= mine;
        if (--account.leases === 0) accounts.delete(account.caller);
      }
      mine = 0;
      released = true;
    }
    return { ownedBy, held: () => mine, take, count, release };
  }

  return { lease };
}

/** What the calls of one caller hold together. */
interface Account {
  caller: string;
  held: number;
  leases: number;
}

async function* inTime(body: AsyncIterable<Uint8Array>, pace: BodyPace): AsyncGenerator<Uint8Array> {
  const { promise: idle, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(callerIdle(pace.idleMs)), pace.idleMs);
  idle.catch(() => undefined);
  const iterator = body[Symbol.asyncIterator]();
  const beganMs = performance.now();
  let received = 0;
  try {
    while (true) {
      const step = await Promise.race([iterator.next(), idle]);
      if (step.done === true) return;
      received += step.value.length;
      const slow = tooSlow(pace, received, performance.now() - beganMs);
      if (slow !== undefined) throw connectErrorOf(slow);
      yield step.value;
      timer.refresh();
    }
  } finally {
    clearTimeout(timer);
    // Not waited for: a body that says nothing would hold up the answer.
    iterator.return?.()?.catch(() => undefined);
  }
}

function busy(maxBytes: number): DomainError {
  return new DomainError("STORE_BUSY", `the calls in flight hold ${maxBytes} bytes already; try again in a moment`, {
    retryAfterMs: 500,
  });
}
