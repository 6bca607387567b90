import type { Transport } from "@connectrpc/connect";
import type { Keyring } from "../auth/keyring.ts";
import type { ServiceName } from "../auth/principal.ts";
import { requestStorage } from "../observe/request-context.ts";
import { peerError, peerMessages } from "./peer-errors.ts";

const defaultTimeoutMs = 30_000;

export interface PeerIdentity {
  keyring: Keyring;
  /** The service that is called. */
  to: ServiceName;
}

/**
 * What every call to a peer has, whatever carries it: a service token unless the call brings a token of its own, the
 * trace, the deadline of the request that it is part of, and errors with the peer's reasons.
 */
export function peerTransport(carrier: () => Transport, identity: PeerIdentity): Transport {
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      try {
        const headers = await peerHeaders(header, identity);
        return await carrier().unary(method, signal, peerTimeoutMs(timeoutMs), headers, input, contextValues);
      } catch (error) {
        throw peerError(error, identity.to);
      }
    },
    async stream(method, signal, timeoutMs, header, input, contextValues) {
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
        return { ...response, message: peerMessages(response.message, identity.to) };
      } catch (error) {
        throw peerError(error, identity.to);
      }
    },
  };
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

/** The call's own time-out or what is left of the request, whichever is less; 30 s if there is neither. */
function peerTimeoutMs(timeoutMs: number | undefined): number {
  const deadline = requestStorage.getStore()?.deadline;
  if (deadline === undefined) return timeoutMs ?? defaultTimeoutMs;
  const left = Math.max(1, Math.ceil(deadline - performance.now()));
  return timeoutMs === undefined ? left : Math.min(timeoutMs, left);
}
