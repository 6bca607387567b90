import { createRouterTransport, type Transport } from "@connectrpc/connect";
import { createCallInterceptor } from "../server/interceptor.ts";
import type { ServiceModule } from "../server/module.ts";
import { createRequestGate } from "../server/request-gate.ts";
import { type PeerIdentity, peerTransport } from "./peer-transport.ts";

/**
 * Calls to a service in the same process, through the same gate and the same routes as over the network. The module
 * is asked for at the first call, since services in one process know each other.
 */
export function createInProcessTransport(module: () => ServiceModule, identity: PeerIdentity): Transport {
  let routed: Transport | undefined;
  return peerTransport(() => {
    routed ??= createRouterTransport((router) => module().routes(router), {
      router: { requestGate: createRequestGate([module()]), interceptors: [createCallInterceptor(() => undefined)] },
    });
    return routed;
  }, identity);
}
