import { Code, type ConnectError } from "@connectrpc/connect";
import { connectErrorOf, withReason } from "../errors/connect-error.ts";
import { DomainError } from "../errors/domain-error.ts";

/**
 * Errors of handlers have a reason already; an INTERNAL without one, or an UNIMPLEMENTED that speaks of the protocol
 * (no message, or two), is the framework's word for a malformed body.
 */
export function framed(error: ConnectError): ConnectError {
  const explainedError = withReason(error);
  const isMalformed = error.code === Code.Internal || error.rawMessage.startsWith("protocol error");
  if (explainedError === error || !isMalformed) return explainedError;
  return connectErrorOf(new DomainError("REQUEST_MALFORMED", `the request cannot be read: ${error.rawMessage}`));
}
