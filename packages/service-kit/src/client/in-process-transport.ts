import { create, type DescMessage, type DescMethodUnary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createConnectRouter,
  createRouterTransport,
  type Transport,
  type UnaryResponse,
} from "@connectrpc/connect";
import { createCallInterceptor } from "../server/interceptor.ts";
import type { ServiceModule } from "../server/module.ts";
import { recordUnary } from "../server/recording-router.ts";
import { createRequestGate } from "../server/request-gate.ts";
import { defaultReadMaxBytes } from "../server/rpc-handler.ts";
import { deadlinePassed, invokeUnary, type UnaryMethod, unaryContext } from "../server/unary-call.ts";
import { type PeerIdentity, peerTransport } from "./peer-transport.ts";

/**
 * Calls to a service in the same process, through the same gate, interceptor and handlers as over the network. The
 * module is asked for at the first call, since services in one process know each other.
 */
export function createInProcessTransport(module: () => ServiceModule, identity: PeerIdentity): Transport {
  let routed: Transport | undefined;
  return peerTransport(() => {
    routed ??= routeInProcess(module());
    return routed;
  }, identity);
}

function routeInProcess(module: ServiceModule): Transport {
  const gate = createRequestGate([module]);
  const interceptor = createCallInterceptor(() => undefined);
  const streams = createRouterTransport((router) => module.routes(router), {
    router: { requestGate: gate, interceptors: [interceptor] },
  });
  const methods = new Map<string, UnaryMethod>();
  module.routes(recordUnary(createConnectRouter(), defaultReadMaxBytes, methods));

  /** Messages are handed over as they are: nothing is serialized. */
  async function unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
  ): Promise<UnaryResponse<I, O>> {
    const served = methods.get(`/${method.parent.typeName}/${method.name}`);
    if (served === undefined)
      throw new ConnectError(`${method.parent.typeName} is not served here`, Code.Unimplemented);
    const headers = new Headers(header);
    if (timeoutMs !== undefined) headers.set("connect-timeout-ms", String(timeoutMs));
    const call = linked(signal, timeoutMs);
    try {
      const context = unaryContext(method as DescMethodUnary, headers, call.signal);
      await gate(context);
      const response = await Promise.race([
        invokeUnary(served, create(method.input, input), context, interceptor),
        call.aborted,
      ]);
      return response as UnaryResponse<I, O>;
    } finally {
      call.release();
    }
  }
  return { unary, stream: streams.stream.bind(streams) };
}

/** A signal of the call's own that its caller or its deadline aborts. */
function linked(outer: AbortSignal | undefined, timeoutMs: number | undefined) {
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
