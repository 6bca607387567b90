import type { ServerHttp2Stream } from "node:http2";
import type { HandlerContext, Interceptor, StreamResponse } from "@connectrpc/connect";
import { connectErrorOf } from "../errors/connect-error.ts";
import type { BodyBudget, BodyLease } from "./body-budget.ts";
import { callerGone } from "./caller-gone.ts";
import { readMany, readOne } from "./grpc-messages.ts";
import { GrpcReply } from "./grpc-reply.ts";
import type { FinishedCall } from "./interceptor.ts";
import { lengthPrefixed } from "./length-prefixed.ts";
import type { ReceiveWindows } from "./receive-windows.ts";
import {
  deadlinePassed,
  invokeStream,
  invokeUnary,
  type RecordedMethod,
  recordedContext,
  type UnaryMethod,
} from "./recorded-call.ts";
import { refusedCall } from "./refused-call.ts";

export interface GrpcDirectOptions {
  gate: (context: HandlerContext) => Promise<void>;
  interceptor: Interceptor;
  /** Hears of the calls that are refused between the gate and the interceptor. */
  report: (call: FinishedCall) => void;
  budget: BodyBudget;
  windows: ReceiveWindows;
  shutdownSignal: AbortSignal;
}

type Serve = (stream: ServerHttp2Stream, header: Headers, recorded: RecordedMethod) => Promise<void>;

interface DirectCall {
  stream: ServerHttp2Stream;
  reply: GrpcReply;
  recorded: RecordedMethod;
  context: HandlerContext;
  lease: BodyLease;
  /** Reports what refuses the call before the interceptor sees it. */
  refused: (error: unknown) => never;
}

/** A handler is asked for more while no more than this waits: one message of 1 MiB on its way, and one behind it. */
const mostWaitingBytes = 1.25 * 1024 * 1024;
/** What the answers of all calls may have waiting together, but for the one message that each may have. */
const waitingBudgetBytes = 64 * 1024 * 1024;
/** Node fires a timer beyond this at once. */
const longestTimer = 2 ** 31 - 1;

/**
 * Serves calls of plain gRPC, all but bidirectional streams, straight from the HTTP/2 stream, through the same gate,
 * interceptor and handlers as every other protocol. A profile of connect-node showed its chain of async generators, an
 * AbortError for each call and three copies of the message to cost more than the call itself.
 */
export function createGrpcDirect(options: GrpcDirectOptions): Serve {
  const { gate, interceptor, report, budget, windows, shutdownSignal } = options;
  const live = new Set<AbortController>();
  shutdownSignal.addEventListener("abort", () => {
    for (const call of live) call.abort(shutdownSignal.reason);
  });

  function waitingBytes(): number {
    return Math.min(mostWaitingBytes, waitingBudgetBytes / live.size);
  }
  async function serve(call: DirectCall): Promise<void> {
    switch (call.recorded.method.methodKind) {
      case "unary":
        return serveUnary(call, interceptor);
      case "server_streaming":
        return serveServerStream(call, interceptor, waitingBytes);
      default:
        return serveClientStream(call, interceptor, windows);
    }
  }

  return async (stream, header, recorded) => {
    const began = performance.now();
    const abort = new AbortController();
    const { signal } = abort;
    const reply = new GrpcReply(stream);
    const lease = budget.lease();
    let timer: NodeJS.Timeout | undefined;
    live.add(abort);
    stream.once("aborted", () => abort.abort(callerGone()));
    stream.once("close", () => {
      live.delete(abort);
      lease.release();
      clearTimeout(timer);
      if (!reply.isDelivered) abort.abort(callerGone());
    });
    // Answered at once, also while the body is awaited, or by a handler that does not listen.
    signal.addEventListener("abort", () => reply.abandon(connectErrorOf(signal.reason)), { once: true });
    function refused(error: unknown): never {
      const cause = signal.aborted ? signal.reason : error;
      throw refusedCall(report, recorded.method, header, began, cause);
    }
    try {
      const context = attempt(() => recordedContext(recorded.method, header, signal), refused);
      const timeoutMs = context.timeoutMs();
      if (timeoutMs !== undefined)
        timer = setTimeout(() => abort.abort(deadlinePassed()), Math.min(timeoutMs, longestTimer));
      await gate(context);
      await serve({ stream, reply, recorded, context, lease, refused });
    } catch (error) {
      reply.refuse(connectErrorOf(signal.aborted ? signal.reason : error));
    }
  };
}

function attempt<T>(step: () => T, refused: (error: unknown) => never): T {
  try {
    return step();
  } catch (error) {
    return refused(error);
  }
}

async function serveUnary(call: DirectCall, interceptor: Interceptor): Promise<void> {
  const message = await readOnly(call);
  const response = await invokeUnary(call.recorded as UnaryMethod, message, call.context, interceptor);
  call.reply.answer(lengthPrefixed(response.method.output, response.message), response.header, response.trailer);
}

async function serveServerStream(call: DirectCall, interceptor: Interceptor, waiting: () => number): Promise<void> {
  const message = await readOnly(call);
  await sendAll(call.reply, await invokeStream(call.recorded, once(message), call.context, interceptor), waiting);
}

async function serveClientStream(call: DirectCall, interceptor: Interceptor, windows: ReceiveWindows): Promise<void> {
  const { stream, recorded, context } = call;
  const { method, readMaxBytes } = recorded;
  windows.opened(stream);
  const messages = readMany(stream, { schema: method.input, maxBytes: readMaxBytes, signal: context.signal });
  try {
    await sendAll(call.reply, await invokeStream(recorded, messages, context, interceptor), () => 0);
  } finally {
    messages.letGo();
  }
}

async function sendAll(
  reply: GrpcReply,
  { message: messages, method, header, trailer }: StreamResponse,
  waitingBytes: () => number,
): Promise<void> {
  for await (const message of messages) {
    reply.send(lengthPrefixed(method.output, message), header);
    // Leaving ends the handler's own iteration, and waits for it.
    if (!(await reply.room(waitingBytes()))) return;
  }
  reply.end(header, trailer);
}

function readOnly({ stream, recorded, context, lease, refused }: DirectCall) {
  const { method, readMaxBytes } = recorded;
  const options = { schema: method.input, maxBytes: readMaxBytes, signal: context.signal };
  return readOne(stream, options, lease).catch(refused);
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}
