import {
  BrokenCircuitError,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleWhen,
  retry,
} from "cockatiel";
import { childController, untilAborted } from "../blobs/abortable.ts";
import { backendUnavailable } from "./backend.ts";
import { StoreFault, storeFault } from "./s3-errors.ts";
import { type StoreCall, withCall } from "./s3-transport.ts";

export interface PatienceOptions {
  /** Upper bound of one attempt, of a streaming one until its answer begins; no attempt begins later than that after the first. In milliseconds. */
  requestTimeoutMs: number;
  /** Of the store, for faults that name it. */
  host: string;
}

export interface RequestOptions {
  /** Goes to the store also while the circuit is open, and closes it if the store answers. */
  probe?: boolean | undefined;
  /** The answer's body is wanted as it comes. */
  streaming?: boolean | undefined;
  /** Is never sent again: a request whose answer did not come may still be on its way, and two of it must not be. */
  once?: boolean | undefined;
  /** See StoreCall. */
  payload?: string | undefined;
}

const mostRetries = 4;
const firstPauseMs = 100;
const longestPauseMs = 2_000;
/** Faults on end, retries counted, without an answer between them, before the store is left alone. */
const outagesToOpen = 12;
const openMs = 5_000;

/** An answer of the store, good or bad: both show that it is there. */
type Answer<T> = { value: T } | { fault: unknown };

/**
 * How requests to one store are sent: each attempt under a timer, again if the fault may pass (exponential pauses
 * with jitter), and not at all while the store is known to be down. After a while one request tries it (half-open);
 * until that has an answer, the others are still refused at once.
 */
export class Patience {
  readonly #options: PatienceOptions;
  #breaker: CircuitBreakerPolicy = this.#closedBreaker();

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /**
   * Runs `act`, which is called once for each attempt; whatever it sends must be there to be sent again.
   * Throws the signal's reason, and a StoreFault for what the store answered, to be told apart by the caller.
   */
  async run<T>(signal: AbortSignal, act: () => Promise<T>, options: RequestOptions = {}): Promise<T> {
    const until = Date.now() + this.#options.requestTimeoutMs;
    const mayPass = (error: unknown) =>
      options.once !== true && error instanceof StoreFault && error.isPassing && Date.now() < until;
    const retrying = retry(handleWhen(mayPass), {
      maxAttempts: mostRetries,
      backoff: new ExponentialBackoff({ initialDelay: firstPauseMs, maxDelay: longestPauseMs }),
    });
    const attempt = () => this.#guarded(() => this.#attempt(signal, act, options), options.probe === true);
    // The pauses of the library do not hear the signal.
    return untilAborted(() => retrying.execute(attempt, signal), signal);
  }

  /** What the caller of the backend is told. */
  told(fault: unknown): unknown {
    return storeFault(fault, this.#options.host);
  }

  async #guarded<T>(attempt: () => Promise<T>, probe: boolean): Promise<T> {
    if (probe && this.#breaker.state !== CircuitState.Closed) {
      const value = await attempt();
      this.#breaker = this.#closedBreaker();
      return value;
    }
    // The library lets the others wait for the one that tries.
    if (this.#breaker.state === CircuitState.HalfOpen) throw leftAlone();
    const answer = await this.#breaker
      .execute(() => answerOf(attempt))
      .catch((error: unknown) => {
        throw error instanceof BrokenCircuitError ? leftAlone() : error;
      });
    if ("fault" in answer) throw answer.fault;
    return answer.value;
  }

  async #attempt<T>(signal: AbortSignal, act: () => Promise<T>, options: RequestOptions): Promise<T> {
    const ms = this.#options.requestTimeoutMs;
    const reason = () => backendUnavailable(`the object store did not answer within ${ms} ms`, undefined);
    const { controller, release } = childController(signal, { ms, reason });
    const { streaming, payload } = options;
    const call: StoreCall = { signal: controller.signal, streaming, payload };
    try {
      return await withCall(call, () => untilAborted(act, controller.signal));
    } catch (error) {
      throw new StoreFault(error, call);
    } finally {
      release();
    }
  }

  #closedBreaker(): CircuitBreakerPolicy {
    // A caller who gives up says nothing about the store; but while one request tries it, no answer is a bad one.
    const isOutage = (error: unknown): boolean =>
      error instanceof StoreFault &&
      (error.isOutage || (error.call.signal.aborted && this.#breaker.state === CircuitState.HalfOpen));
    return circuitBreaker(handleWhen(isOutage), {
      halfOpenAfter: openMs,
      breaker: new ConsecutiveBreaker(outagesToOpen),
    });
  }
}

/** Only what is no answer is thrown: no count of outages goes on across an answer, whatever it says. */
async function answerOf<T>(attempt: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await attempt() };
  } catch (fault) {
    if (fault instanceof StoreFault && !fault.isOutage && !fault.call.signal.aborted) return { fault };
    throw fault;
  }
}

function leftAlone(): Error {
  return backendUnavailable("the object store does not answer, and is left alone for some seconds", undefined);
}
