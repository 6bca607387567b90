import { setTimeout as sleep } from "node:timers/promises";
import { type CallOptions, Code, ConnectError } from "@connectrpc/connect";
import pRetry from "p-retry";
import { isConnectionFailure, reasonOf, retryDelayOf, timedOut } from "../errors.ts";
import { printable } from "../output/printable.ts";

const connectionRetries = 2;
// Shorter waits need no explanation.
const quietMs = 2_000;

export interface CallerOptions {
  /** Bound of all calls of a command together, in milliseconds. */
  timeoutMs: number;
  /** How long a call may be refused for one and the same reason, in milliseconds. */
  stallMs: number;
  /** Ends everything at once. */
  signal: AbortSignal;
  /** Tells a person why it takes so long. */
  note: (text: string) => Promise<void>;
}

/** Makes the calls of one command, all within its time. */
export class Caller {
  readonly #deadline: number;
  readonly #signal: AbortSignal;
  readonly #options: CallerOptions;

  constructor(options: CallerOptions) {
    this.#deadline = Date.now() + options.timeoutMs;
    this.#signal = options.signal;
    this.#options = options;
  }

  /** What a call gets: the time that is left. Throws TIMED_OUT when there is none, and the reason of an abort. */
  options(): CallOptions & { signal: AbortSignal; timeoutMs: number } {
    this.#signal.throwIfAborted();
    const timeoutMs = this.#deadline - Date.now();
    if (timeoutMs <= 0) throw timedOut();
    return { timeoutMs, signal: this.#signal };
  }

  /**
   * A call that is safe to make again. It is made again when the server asks for it (RetryInfo), until the time is
   * over or the reason has been the same for too long, and twice when the connection failed. Anything else is final:
   * what was refused for good ends at once. What is thrown is the last refusal, not that the time is over.
   */
  repeatable<T>(call: (options: CallOptions) => Promise<T>): Promise<T> {
    return this.#attempts(call, () => true);
  }

  /** A call that must not be made twice. It is made again only when it was not begun, since calls are too many. */
  once<T>(call: (options: CallOptions) => Promise<T>): Promise<T> {
    return this.#attempts(call, (error) => reasonOf(error) === "RATE_LIMITED");
  }

  async #attempts<T>(call: (options: CallOptions) => Promise<T>, mayRepeat: (error: Error) => boolean): Promise<T> {
    let connectionFailures = 0;
    let stalled: Stalled | undefined;
    try {
      return await pRetry(() => call(this.options()), {
        retries: Number.POSITIVE_INFINITY,
        minTimeout: 250,
        maxTimeout: 5_000,
        randomize: true,
        maxRetryTime: Math.max(0, this.#deadline - Date.now()),
        signal: this.#signal,
        shouldRetry: async ({ error, retryDelay }) => {
          if (!mayRepeat(error)) return false;
          const asked = retryDelayOf(error);
          if (asked === undefined) return isConnectionFailure(error) && connectionFailures++ < connectionRetries;
          const reason = reasonOf(error);
          const same: Stalled =
            stalled !== undefined && stalled.reason === reason
              ? stalled
              : { reason, since: Date.now(), error, told: false };
          same.error = error;
          stalled = same;
          const goesOnAt = Date.now() + Math.max(asked, retryDelay);
          if (goesOnAt >= Math.min(this.#deadline, same.since + this.#options.stallMs)) return false;
          if (!same.told && goesOnAt - same.since > quietMs) {
            same.told = true;
            await this.#options.note(`trying again: ${describe(error)}`);
          }
          await sleep(Math.max(0, asked - retryDelay), undefined, { signal: this.#signal });
          return true;
        },
      });
    } catch (error) {
      throw stalled !== undefined && isOutOfTime(error) ? stalled.error : error;
    }
  }

  /** For what makes its attempts itself (`@attestry/cas-client`): the time that is left, and how it tells why it waits. */
  persistence(): {
    signal: AbortSignal;
    timeoutMs: number;
    stallMs: number;
    onRetry: (fault: Error, waitMs: number) => void;
  } {
    let stalled: Omit<Stalled, "error"> | undefined;
    const onRetry = (fault: Error, waitMs: number) => {
      const reason = reasonOf(fault);
      stalled =
        stalled?.reason === reason && stalled !== undefined ? stalled : { reason, since: Date.now(), told: false };
      if (stalled.told || Date.now() + waitMs - stalled.since <= quietMs) return;
      stalled.told = true;
      void this.#options.note(`trying again: ${describe(fault)}`);
    };
    return { ...this.options(), stallMs: this.#options.stallMs, onRetry };
  }
}

interface Stalled {
  reason: string | undefined;
  /** Milliseconds since 1970. */
  since: number;
  error: Error;
  told: boolean;
}

function isOutOfTime(error: unknown): boolean {
  if (error instanceof ConnectError) return error.code === Code.DeadlineExceeded;
  return reasonOf(error) === "TIMED_OUT";
}

function describe(error: Error): string {
  const message = error instanceof ConnectError ? error.rawMessage : error.message;
  const reason = reasonOf(error);
  return printable(reason === undefined ? message : `${message} (${reason})`);
}
