import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import pRetry from "p-retry";
import { isBrokenConnection, mayPass, retryDelayOf } from "./faults.ts";

export interface Persistence {
  signal?: AbortSignal | undefined;
  /** Bound of all attempts together, in milliseconds. */
  timeoutMs?: number | undefined;
  /** How long faults that may pass are tolerated without any progress, in milliseconds. Default: 2 s. */
  stallMs?: number | undefined;
  /** Whether the gateway has been reached before; if not, a connection that fails is tried only twice more. */
  reachedBefore?: boolean | undefined;
  /** Called before a wait for another attempt. */
  onRetry?: ((fault: Error, waitMs: number) => void) | undefined;
}

export interface Attempt {
  signal: AbortSignal;
  /** What is left of the time. */
  timeoutMs: number | undefined;
}

const defaultStallMs = 2_000;
/** What was never reached is probably not there: it is not tried for as long as what broke off. */
const vainConnections = 2;
/** The deadline of a transport comes first; this is for calls that never settle (connectrpc/connect-es#1678). */
const graceMs = 1_000;

/** The time that a call has, in milliseconds from now on; asked by each of its attempts. */
export class Deadline {
  readonly #at: number;

  constructor(timeoutMs: number | undefined) {
    this.#at = performance.now() + (timeoutMs ?? Number.POSITIVE_INFINITY);
  }

  /** Undefined: without end. Throws DEADLINE_EXCEEDED when nothing is left. */
  leftMs(): number | undefined {
    const left = this.#at - performance.now();
    if (left <= 0) throw new ConnectError("not done in the time given", Code.DeadlineExceeded);
    return left === Number.POSITIVE_INFINITY ? undefined : Math.ceil(left);
  }

  /** Whether a wait fits into it. */
  allows(waitMs: number): boolean {
    return performance.now() + waitMs < this.#at;
  }
}

/**
 * Makes attempts until one succeeds. Another one follows a fault that may pass, after a wait that grows, or as long as
 * the server asks, while the time lasts and `progress` (any number that grows) has grown within `stallMs`. Throws what
 * is final; when the time is over, the fault that has used it up; CANCELED when the signal aborts.
 */
export async function persist<T>(
  options: Persistence & { deadline: Deadline; progress: () => number },
  attempt: (call: Attempt) => Promise<T>,
): Promise<T> {
  const { signal, deadline, progress, stallMs = defaultStallMs } = options;
  let reached = progress();
  let stalledSince = performance.now();
  let everReached = options.reachedBefore ?? false;
  let vain = 0;
  let standing: Error | undefined;
  try {
    return await pRetry(() => bounded(attempt, signal, deadline), {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 100,
      maxTimeout: 5_000,
      randomize: true,
      ...(signal !== undefined && { signal }),
      shouldRetry: async ({ error, retryDelay }) => {
        if (!mayPass(error) || !deadline.allows(0)) return false;
        if (progress() > reached) {
          reached = progress();
          stalledSince = performance.now();
          everReached = true;
        }
        standing = error;
        const asked = retryDelayOf(error);
        if (asked === undefined && isBrokenConnection(error) && !everReached && ++vain > vainConnections) return false;
        const waitMs = Math.max(asked ?? 0, retryDelay);
        if (!deadline.allows(waitMs) || performance.now() + waitMs >= stalledSince + stallMs) return false;
        options.onRetry?.(error, waitMs);
        await sleep(waitMs - retryDelay, undefined, { signal });
        return true;
      },
    });
  } catch (error) {
    if (signal?.aborted) throw ConnectError.from(signal.reason, Code.Canceled);
    throw isDeadline(error) && standing !== undefined && progress() === reached ? standing : error;
  }
}

/** Runs an attempt with a signal of its own, and waits no longer for it than the deadline and a little more. */
async function bounded<T>(
  attempt: (call: Attempt) => Promise<T>,
  signal: AbortSignal | undefined,
  deadline: Deadline,
): Promise<T> {
  signal?.throwIfAborted();
  const timeoutMs = deadline.leftMs();
  const call = new AbortController();
  const over = Promise.withResolvers<never>();
  const end = (reason: unknown) => {
    call.abort(reason);
    over.reject(reason);
  };
  const abort = () => end(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  const late = () => end(new ConnectError("not done in the time given", Code.DeadlineExceeded));
  const timer = timeoutMs === undefined ? undefined : setTimeout(late, Math.min(timeoutMs + graceMs, 2 ** 31 - 1));
  try {
    return await Promise.race([attempt({ signal: call.signal, timeoutMs }), over.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

function isDeadline(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.DeadlineExceeded;
}
