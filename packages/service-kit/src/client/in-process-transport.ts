import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createConnectRouter,
  type StreamResponse,
  type Transport,
  type UnaryResponse,
} from "@connectrpc/connect";
import { methodPath } from "../auth/access.ts";
import { createCallInterceptor } from "../server/interceptor.ts";
import type { ServiceModule } from "../server/module.ts";
import {
  deadlinePassed,
  invokeStream,
  invokeUnary,
  type RecordedMethod,
  recordedContext,
  type UnaryMethod,
} from "../server/recorded-call.ts";
import { recordMethods } from "../server/recording-router.ts";
import { createRequestGate } from "../server/request-gate.ts";
import { type PeerIdentity, peerTransport } from "./peer-transport.ts";

/**
 * Calls to a service in the same process, through the same gate, interceptor and handlers as over the network.
 * Messages are handed over as they are: nothing is serialized. The module is asked for at the first call, since
 * services in one process know each other.
 */
export function createInProcessTransport(module: () => ServiceModule, identity: PeerIdentity): Transport {
  let transport: InProcessTransport | undefined;
  return peerTransport(() => {
    transport ??= new InProcessTransport(module());
    return transport;
  }, identity);
}

/** Nothing is read here: messages are handed over as they are. */
const unbounded = Number.MAX_SAFE_INTEGER;

class InProcessTransport implements Transport {
  readonly #gate: ReturnType<typeof createRequestGate>;
  readonly #interceptor = createCallInterceptor(ignore);
  readonly #methods = new Map<string, RecordedMethod>();

  constructor(module: ServiceModule) {
    this.#gate = createRequestGate([module], ignore);
    module.routes(recordMethods(createConnectRouter(), unbounded, this.#methods));
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
  ): Promise<UnaryResponse<I, O>> {
    const recorded = this.#find(method) as UnaryMethod;
    const call = linked(signal, timeoutMs);
    try {
      const context = await this.#admit(recorded, header, timeoutMs, call.signal);
      const answer = invokeUnary(recorded, create(method.input, input), context, this.#interceptor);
      return (await Promise.race([answer, call.aborted])) as UnaryResponse<I, O>;
    } finally {
      call.release();
    }
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
  ): Promise<StreamResponse<I, O>> {
    const recorded = this.#find(method);
    const call = linked(signal, timeoutMs);
    try {
      const context = await this.#admit(recorded, header, timeoutMs, call.signal);
      const answer = invokeStream(recorded, messages(method.input, input, call.signal), context, this.#interceptor);
      const response = (await Promise.race([answer, call.aborted])) as StreamResponse<I, O>;
      return { ...response, message: thenRelease(response.message, call) };
    } catch (error) {
      call.release();
      throw error;
    }
  }

  #find(method: DescMethod): RecordedMethod {
    const recorded = this.#methods.get(methodPath(method));
    if (recorded !== undefined) return recorded;
    throw new ConnectError(`${method.parent.typeName} is not served here`, Code.Unimplemented);
  }

  async #admit(
    { method }: RecordedMethod,
    header: HeadersInit | undefined,
    timeoutMs: number | undefined,
    signal: AbortSignal,
  ) {
    const headers = new Headers(header);
    if (timeoutMs !== undefined) headers.set("connect-timeout-ms", String(timeoutMs));
    const context = recordedContext(method, headers, signal);
    await this.#gate(context);
    return context;
  }
}

/** The caller's own call is the one that is reported. */
function ignore(): void {}

interface LinkedCall {
  signal: AbortSignal;
  /** Rejects when the call is aborted. */
  aborted: Promise<never>;
  release: () => void;
}

/** A signal of the call's own, which its caller or its deadline aborts until it is released. */
function linked(outer: AbortSignal | undefined, timeoutMs: number | undefined): LinkedCall {
  outer?.throwIfAborted();
  const own = new AbortController();
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => own.abort(deadlinePassed()), timeoutMs);
  const follow = () => own.abort(outer?.reason);
  outer?.addEventListener("abort", follow, { once: true });
  const aborted = new Promise<never>((_, reject) => {
    own.signal.addEventListener("abort", () => reject(ConnectError.from(own.signal.reason)), { once: true });
  });
  aborted.catch(() => undefined);
  return {
    signal: own.signal,
    aborted,
    release: () => {
      clearTimeout(timer);
      outer?.removeEventListener("abort", follow);
    },
  };
}

/** What the caller sends; a call that was aborted sends no more, and its stream does not look finished. */
async function* messages<I extends DescMessage>(
  schema: I,
  input: AsyncIterable<MessageInitShape<I>>,
  signal: AbortSignal,
) {
  for await (const init of input) {
    signal.throwIfAborted();
    yield create(schema, init);
  }
  signal.throwIfAborted();
}

async function* thenRelease<T>(answers: AsyncIterable<T>, call: LinkedCall): AsyncGenerator<T> {
  const iterator = answers[Symbol.asyncIterator]();
  try {
    while (true) {
      const step = await Promise.race([iterator.next(), call.aborted]);
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    call.release();
    // Not waited for: a handler that was abandoned may hang.
    void iterator.return?.().catch(() => undefined);
  }
}
