import { ErrorInfoSchema } from "@attestry/api/errors";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ServiceName } from "../auth/principal.ts";
import { errorDomain, isReason, retryAfterOf } from "../errors/connect-error.ts";
import { DomainError } from "../errors/domain-error.ts";
import { reasons } from "../errors/reasons.ts";

/** Codes that say that the peer is away, or that the connection to it broke. */
const away = new Set<Code>([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Canceled,
  Code.Aborted,
  Code.ResourceExhausted,
]);
/** Said by either end, whichever notices first; they mean the same whoever said it. */
const unreasoned = new Set<Code>([Code.DeadlineExceeded, Code.Canceled]);

/** A call to a peer that ended in an error. */
export interface PeerCall {
  peer: ServiceName;
  signal: AbortSignal | undefined;
  /** Whether it was made with a token of this service, and not with one that its caller handed on. */
  ownToken: boolean;
}

/**
 * What a peer answered, as an error of our own: its reason where it gave one, PEER_UNAVAILABLE where it is away.
 * That it does not know us, or has a bug, is our fault and not the caller's: such an error stays as it is, and
 * reaches the caller as INTERNAL. A call with the caller's own token is the caller's also where the token is refused.
 */
export function peerError(error: unknown, { peer, signal, ownToken }: PeerCall): unknown {
  if (signal?.aborted)
    return new ConnectError(`the call to ${peer} was cancelled`, Code.Canceled, undefined, [], error);
  if (!(error instanceof ConnectError)) return error;
  const info = error.findDetails(ErrorInfoSchema)[0];
  const refusesUs = error.code === Code.Unauthenticated || error.code === Code.PermissionDenied;
  const ours = error.code === Code.Internal || (refusesUs && ownToken);
  if (
    info?.domain === errorDomain &&
    isReason(info.reason) &&
    !ours &&
    !unreasoned.has(error.code) &&
    reasons[info.reason] === error.code
  ) {
    const retryAfterMs = retryAfterOf(error);
    return new DomainError(info.reason, error.rawMessage, {
      metadata: info.metadata,
      cause: error,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }
  if (away.has(error.code)) {
    return new DomainError("PEER_UNAVAILABLE", `${peer} does not answer; try again`, {
      retryAfterMs: 1_000,
      cause: error,
    });
  }
  return new Error(`${peer} refused a call of this service: ${error.message}`, { cause: error });
}

/** The messages of a stream from a peer; an error in its midst is translated as one at its start. */
export async function* peerMessages<T>(messages: AsyncIterable<T>, call: PeerCall): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw peerError(error, call);
  }
}
