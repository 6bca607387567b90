import { Code, type ConnectError } from "@connectrpc/connect";
import { connectErrorOf, withReason } from "../errors/connect-error.ts";
import { DomainError } from "../errors/domain-error.ts";

const tooLarge = /^message size (\d+) is larger than configured readMaxBytes (\d+)$/;

/**
 * Errors of handlers have a reason already; an INTERNAL without one, or an UNIMPLEMENTED that speaks of the protocol
 * (no message, or two), is the framework's word for a malformed body.
 * @param isLessAsJson whether the method takes smaller messages as JSON, and this was one
 */
export function framed(error: ConnectError, isLessAsJson = false): ConnectError {
  const [, actual, expected] = tooLarge.exec(error.rawMessage) ?? [];
  if (actual !== undefined && expected !== undefined) return messageTooLarge(actual, expected, isLessAsJson);
  const explainedError = withReason(error);
  const isMalformed = error.code === Code.Internal || error.rawMessage.startsWith("protocol error");
  if (explainedError === error || !isMalformed) return explainedError;
  return connectErrorOf(new DomainError("REQUEST_MALFORMED", `the request cannot be read: ${error.rawMessage}`));
}

function messageTooLarge(actual: string, expected: string, isLessAsJson: boolean): ConnectError {
  const bytes = isLessAsJson ? "bytes as JSON, and more as protobuf" : "bytes";
  const message = `a request of this method may have ${expected} ${bytes}; ${actual} came`;
  return connectErrorOf(new DomainError("MESSAGE_TOO_LARGE", message, { metadata: { expected, actual } }));
}
