import type { Code, Interceptor } from "@connectrpc/connect";
import { methodName } from "../auth/access.ts";
import { connectErrorOf } from "../errors/connect-error.ts";
import { type RequestContext, requestContextOf, requestStorage } from "../observe/request-context.ts";
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
      const translated = connectErrorOf(request.signal.aborted ? (request.signal.reason ?? error) : error);
      translated.metadata.set("x-request-id", context.requestId);
      finish(translated.code, error);
      throw translated;
    }

    return requestStorage.run(context, async () => {
      try {
        const response = await next(request);
        response.header.set("x-request-id", context.requestId);
        if (response.stream) return { ...response, message: watched(response.message, context, finish, fail) };
        finish();
        return response;
      } catch (error) {
        return fail(error);
      }
    });
  };
}

/** Each step of a stream runs in the request's context, since the framework pulls it from outside of it. */
async function* watched<T>(
  messages: AsyncIterable<T>,
  context: RequestContext,
  finish: () => void,
  fail: (error: unknown) => never,
): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let ended = false;
  try {
    while (true) {
      const step = await requestStorage.run(context, () => iterator.next());
      if (step.done === true) break;
      yield step.value;
    }
    ended = true;
    finish();
  } catch (error) {
    ended = true;
    fail(error);
  } finally {
    // The caller went away: let the handler clean up.
    if (!ended) await iterator.return?.();
  }
}
