import type { ServerHttp2Stream } from "node:http2";
import { createContextValues, type HandlerContext, type Interceptor, type StreamResponse } from "@connectrpc/connect";
import { connectErrorOf } from "../errors/connect-error.ts";
import type { BodyBudget } from "./body-budget.ts";
import { nameOwner } from "./body-owner.ts";
import type { BodyPace } from "./body-pace.ts";
import { callerGone } from "./caller-gone.ts";
import { readMany, readOne } from "./grpc-messages.ts";
import { GrpcReply } from "./grpc-reply.ts";
import type { FinishedCall } from "./interceptor.ts";
import { lengthPrefixed } from "./length-prefixed.ts";
import { LiveCall } from "./live-call.ts";
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
import { remoteAddressKey } from "./remote-address.ts";

export interface GrpcDirectOptions {
  gate: (context: HandlerContext) => Promise<void>;
  interceptor: Interceptor;
  /** Hears of the calls that are refused between the gate and the interceptor. */
  report: (call: FinishedCall) => void;
  budget: BodyBudget;
  windows: ReceiveWindows;
  shutdownSignal: AbortSignal;
  /** How slow a caller may be with its one message, or with an answer that it takes. */
  pace: BodyPace;
}

type Serve = (stream: ServerHttp2Stream, header: Headers, recorded: RecordedMethod) => Promise<void>;

interface DirectCall {
  stream: ServerHttp2Stream;
  live: LiveCall;
  recorded: RecordedMethod;
  context: HandlerContext;
  /** Reports what refuses the call before the interceptor sees it. */
  refused: (error: unknown) => never;
}

/** A handler is asked for more while no more than this waits: one message of 1 MiB on its way, and one behind it. */
const mostWaitingBytes = 1.25 * 1024 * 1024;
/** What the answers of all calls may have waiting together, but for the one message that each may have. */
const waitingBudgetBytes = 64 * 1024 * 1024;
/** How often the calls under way are looked at in the time that a caller may be idle. */
const looksPerIdle = 4;
/** Node fires a timer beyond this at once. */
const longestTimer = 2 ** 31 - 1;

/**
 * Serves calls of plain gRPC, all but bidirectional streams, straight from the HTTP/2 stream, through the same gate,
 * interceptor and handlers as every other protocol. A profile of connect-node showed its chain of async generators, an
 * AbortError for each call and three copies of the message to cost more than the call itself.
 */
export function createGrpcDirect(options: GrpcDirectOptions): Serve {
  const { gate, interceptor, report, budget, windows, shutdownSignal, pace } = options;
  const calls = new Set<LiveCall>();
  const looking = setInterval(() => {
    const nowMs = performance.now();
    for (const call of calls) call.look(nowMs, pace);
  }, pace.idleMs / looksPerIdle).unref();
  shutdownSignal.addEventListener("abort", () => {
    clearInterval(looking);
    for (const { abort } of calls) abort.abort(shutdownSignal.reason);
  });

  function waitingBytes(): number {
    return Math.min(mostWaitingBytes, waitingBudgetBytes / calls.size);
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
    const live = new LiveCall(stream, new GrpcReply(stream), budget.lease());
    const { abort, reply, lease } = live;
    const { signal } = abort;
    let timer: NodeJS.Timeout | undefined;
    calls.add(live);
    stream.once("aborted", () => abort.abort(callerGone()));
    stream.once("close", () => {
      calls.delete(live);
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
    const values = createContextValues().set(remoteAddressKey, stream.session?.socket?.remoteAddress);
    try {
      const context = attempt(() => recordedContext(recorded.method, header, signal, values), refused);
      const timeoutMs = context.timeoutMs();
      if (timeoutMs !== undefined)
        timer = setTimeout(() => abort.abort(deadlinePassed()), Math.min(timeoutMs, longestTimer));
      await gate(context);
      await serve({ stream, live, recorded, context, refused });
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
  call.live.reply.answer(lengthPrefixed(response.method.output, response.message), response.header, response.trailer);
}

async function serveServerStream(call: DirectCall, interceptor: Interceptor, waiting: () => number): Promise<void> {
  const message = await readOnly(call);
  await sendAll(call.live.reply, await invokeStream(call.recorded, once(message), call.context, interceptor), waiting);
}

async function serveClientStream(call: DirectCall, interceptor: Interceptor, windows: ReceiveWindows): Promise<void> {
  const { stream, recorded, context } = call;
  const { method, readMaxBytes } = recorded;
  windows.opened(stream);
  const messages = readMany(stream, { schema: method.input, maxBytes: readMaxBytes, signal: context.signal });
  try {
    await sendAll(call.live.reply, await invokeStream(recorded, messages, context, interceptor), () => 0);
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

async function readOnly({ stream, live, recorded, context, refused }: DirectCall) {
  const { method, readMaxBytes } = recorded;
  const options = { schema: method.input, maxBytes: readMaxBytes, signal: context.signal };
  nameOwner(live.lease, context.values);
  live.readingSinceMs = performance.now();
  try {
    return await readOne(stream, options, live.lease);
  } catch (error) {
    return refused(error);
  } finally {
    live.readingSinceMs = undefined;
  }
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}
