import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { methodName } from "../auth/access.ts";
import { connectErrorOf, reasonOf } from "../errors/connect-error.ts";
import { type RequestContext, requestContextOf, requestStorage } from "../observe/request-context.ts";
import { callerGone } from "./caller-gone.ts";
import { framed } from "./framework-error.ts";
import { callTimeoutMs } from "./timeout.ts";

/** A call that has ended. */
export interface FinishedCall {
  /** `attestry.run.v1.RunService/Create`. */
  method: string;
  /** Undefined: OK. */
  code: Code | undefined;
  error?: unknown;
  ms: number;
  context: RequestContext;
}

/**
 * The one interceptor of every handler: takes up request id, trace and deadline, turns errors into Connect errors
 * with their reasons, and reports how the call ended.
 */
export function createCallInterceptor(report: (call: FinishedCall) => void): Interceptor {
  return (next) => async (request) => {
    const context = requestContextOf(request.header, callTimeoutMs(request.header));
    const method = methodName(request.method);
    const began = performance.now();

    function finish(code?: Code, error?: unknown): void {
      report({ method, code, error, ms: performance.now() - began, context });
    }
    function fail(error: unknown): never {
      const translated = translate(request.signal.aborted ? abortReason(request.signal) : error);
      translated.metadata.set("x-request-id", context.requestId);
      finish(translated.code, error);
      throw translated;
    }

    return requestStorage.run(context, async () => {
      try {
        const response = await next(request);
        response.header.set("x-request-id", context.requestId);
        if (response.stream)
          return { ...response, message: watched(response.message, context, request.signal, finish, fail) };
        finish();
        return response;
      } catch (error) {
        return fail(error);
      }
    });
  };
}

/**
 * Each step of a stream runs in the request's context, since the framework pulls it from outside of it. When the call
 * is aborted while nobody pulls, the framework may never come back: the handler is let go, and reported, at once.
 */
async function* watched<T>(
  messages: AsyncIterable<T>,
  context: RequestContext,
  signal: AbortSignal,
  finish: (code?: Code, error?: unknown) => void,
  fail: (error: unknown) => never,
): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let state: "pulled" | "idle" | "ended" = "idle";
  async function leave(): Promise<void> {
    if (state !== "idle") return;
    state = "ended";
    const reason = signal.aborted ? abortReason(signal) : callerGone();
    finish(connectErrorOf(reason).code, reason);
    await requestStorage.run(context, () => iterator.return?.());
  }
  const onAbort = () => void leave().catch(() => undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    while (state === "idle") {
      state = "pulled";
      const step = await requestStorage.run(context, () => iterator.next());
      if (step.done === true) {
        state = "ended";
        finish();
        return;
      }
      state = "idle";
      yield step.value;
    }
    signal.throwIfAborted();
  } catch (error) {
    if (state !== "pulled") throw error;
    state = "ended";
    fail(error);
  } finally {
    signal.removeEventListener("abort", onAbort);
    await leave();
  }
}

/** The framework parses the messages of streams within the call; what it says of them is about the caller's bytes. */
function translate(error: unknown): ConnectError {
  return error instanceof ConnectError ? framed(error) : connectErrorOf(error);
}

/**
 * Why a call was aborted: its deadline, the end of the server, or else its caller, however the connection says that
 * (an HTTP/2 reset with any code, a closed socket).
 */
function abortReason({ reason }: AbortSignal): unknown {
  const known =
    reasonOf(reason) !== undefined || (reason instanceof ConnectError && reason.code === Code.DeadlineExceeded);
  return known ? reason : callerGone(reason);
}
