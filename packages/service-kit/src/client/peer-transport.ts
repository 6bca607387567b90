import { ErrorInfoSchema } from "@attestry/api/errors";
import { ConnectError, type Transport } from "@connectrpc/connect";
import type { Keyring } from "../auth/keyring.ts";
import type { ServiceName } from "../auth/principal.ts";
import { reasonOf } from "../errors/connect-error.ts";
import { requestStorage } from "../observe/request-context.ts";
import { peerError, peerMessages } from "./peer-errors.ts";

const defaultTimeoutMs = 30_000;
/** A week; gRPC's timeout header has no room for much more in milliseconds. */
const longestTimeoutMs = 7 * 86_400_000;

export interface PeerIdentity {
  keyring: Keyring;
  /** The service that is called. */
  to: ServiceName;
}

/**
 * What every call to a peer has, whatever carries it: a service token unless the call brings a token of its own, the
 * trace, the deadline of the request that it is part of, and errors with the peer's reasons. A unary call that the peer
 * refused because one of the two clocks is wrong is made once more by the peer's clock; what streams with a service
 * token would have to bring its input again, and nothing does.
 */
export function peerTransport(carrier: () => Transport, identity: PeerIdentity): Transport {
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      const until = performance.now() + peerTimeoutMs(timeoutMs);
      const call = async () => {
        const headers = await peerHeaders(header, identity);
        const leftMs = peerTimeoutMs(until - performance.now());
        return carrier().unary(method, signal, leftMs, headers, input, contextValues);
      };
      try {
        return await call().catch(async (error: unknown) => {
          if (!(await showsTime(error, header, identity))) throw error;
          // The peer refused it on its headers, before anything was done.
          return call();
        });
      } catch (error) {
        throw peerError(error, { peer: identity.to, signal, ownToken: hasOwnToken(header) });
      }
    },
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const peerCall = { peer: identity.to, signal, ownToken: hasOwnToken(header) };
      try {
        const headers = await peerHeaders(header, identity);
        const response = await carrier().stream(
          method,
          signal,
          peerTimeoutMs(timeoutMs),
          headers,
          input,
          contextValues,
        );
        return { ...response, message: peerMessages(response.message, peerCall) };
      } catch (error) {
        throw peerError(error, peerCall);
      }
    },
  };
}

/** Whether the call is made with a token of this service: it brings none from its caller. */
function hasOwnToken(header: HeadersInit | undefined): boolean {
  return !new Headers(header).has("authorization");
}

async function peerHeaders(header: HeadersInit | undefined, { keyring, to }: PeerIdentity): Promise<Headers> {
  const headers = new Headers(header);
  if (!headers.has("authorization")) headers.set("authorization", `Bearer ${await keyring.serviceToken(to)}`);
  const context = requestStorage.getStore();
  if (context !== undefined) {
    headers.set("traceparent", context.traceparent);
    headers.set("x-request-id", context.requestId);
  }
  return headers;
}

/** Whether the peer refused our own token as run out, and showed what time it is there: the next token goes by that. */
async function showsTime(error: unknown, header: HeadersInit | undefined, { keyring, to }: PeerIdentity) {
  if (!hasOwnToken(header) || !(error instanceof ConnectError)) return false;
  if (reasonOf(error) !== "TOKEN_EXPIRED") return false;
  const signedTime = error.findDetails(ErrorInfoSchema)[0]?.metadata.signed_time;
  return signedTime !== undefined && keyring.learnTime(to, signedTime);
}

/** The call's own time-out or what is left of the request, whichever is less; 30 s if there is neither. */
function peerTimeoutMs(timeoutMs: number | undefined): number {
  const deadline = requestStorage.getStore()?.deadline;
  const left = deadline === undefined ? undefined : deadline - performance.now();
  const bound = Math.min(timeoutMs ?? left ?? defaultTimeoutMs, left ?? longestTimeoutMs, longestTimeoutMs);
  // Whole milliseconds, since that is what the timeout header holds; handlers hand on what is left of theirs.
  return Math.max(1, Math.ceil(bound));
}
