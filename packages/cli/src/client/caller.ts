import { setTimeout as sleep } from "node:timers/promises";
import type { CallOptions } from "@connectrpc/connect";
import pRetry from "p-retry";
import { CommandError, isConnectionFailure, retryDelayOf } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";

const connectionRetries = 2;

export interface CallerOptions {
  /** Bound of all calls of a command together, in milliseconds. */
  timeoutMs: number;
  /** Ends everything at once. */
  signal: AbortSignal;
}

/** Makes the calls of one command, all within its time. */
export class Caller {
  readonly #deadline: number;
  readonly #signal: AbortSignal;

  constructor(options: CallerOptions) {
    this.#deadline = Date.now() + options.timeoutMs;
    this.#signal = options.signal;
  }

  /** What a call gets: the time that is left. Throws TIMED_OUT when there is none, and the reason of an abort. */
  options(): CallOptions & { signal: AbortSignal; timeoutMs: number } {
    this.#signal.throwIfAborted();
    const timeoutMs = this.#deadline - Date.now();
    if (timeoutMs <= 0)
      throw new CommandError("TIMED_OUT", "not done in the time given", { exitCode: exitCodes.unavailable });
    return { timeoutMs, signal: this.#signal };
  }

  /**
   * A call that is safe to make again. It is made again when the server asks for it (RetryInfo), until the time is
   * over, and twice when the connection failed. Anything else is final: what was refused for good ends at once.
   */
  async repeatable<T>(call: (options: CallOptions) => Promise<T>): Promise<T> {
    let connectionFailures = 0;
    return pRetry(() => call(this.options()), {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 250,
      maxTimeout: 5_000,
      randomize: true,
      maxRetryTime: Math.max(0, this.#deadline - Date.now()),
      signal: this.#signal,
      shouldRetry: async ({ error, retryDelay }) => {
        const asked = retryDelayOf(error);
        if (asked === undefined) return isConnectionFailure(error) && connectionFailures++ < connectionRetries;
        if (Date.now() + Math.max(asked, retryDelay) >= this.#deadline) return false;
        await sleep(Math.max(0, asked - retryDelay), undefined, { signal: this.#signal });
        return true;
      },
    });
  }

  /** A call that must not be made twice. */
  async once<T>(call: (options: CallOptions) => Promise<T>): Promise<T> {
    return call(this.options());
  }
}
