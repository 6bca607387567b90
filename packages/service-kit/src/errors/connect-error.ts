import { ErrorInfoSchema, RetryInfoSchema } from "@attestry/api/errors";
import { Code, ConnectError } from "@connectrpc/connect";
import { databaseFault } from "./database-fault.ts";
import { DomainError } from "./domain-error.ts";
import { type Reason, reasons } from "./reasons.ts";

export const errorDomain = "attestry.dev";

/** Of a message and of each detail, in UTF-16 units. */
const longestDetail = 2_048;

/**
 * What a client gets for an error: the Connect code and message, ErrorInfo with the reason, and RetryInfo if the
 * fault passes. An error that is not meant for clients becomes INTERNAL without its message.
 */
export function connectErrorOf(error: unknown): ConnectError {
  if (error instanceof ConnectError) return withReason(error);
  const fault = readable(error) ?? databaseFault(error);
  if (fault === undefined) {
    const hidden = new ConnectError(
      "internal error; the service's log has its cause under the request id",
      Code.Internal,
    );
    hidden.cause = error;
    return withReason(hidden);
  }
  const code = fault.code;
  const passes = fault.retryAfterMs !== undefined;
  const details = [
    { desc: ErrorInfoSchema, value: { reason: code, domain: errorDomain, metadata: bounded(fault.metadata) } },
    ...(passes ? [{ desc: RetryInfoSchema, value: { retryDelay: durationOf(fault.retryAfterMs ?? 0) } }] : []),
  ];
  return new ConnectError(told(fault.message), reasons[code], undefined, details, error);
}

/** The reason of an error, whether it was thrown here or came from a peer; undefined if it has none. */
export function reasonOf(error: unknown): Reason | undefined {
  if (error instanceof ConnectError) {
    const reason = error.findDetails(ErrorInfoSchema)[0]?.reason;
    return reason !== undefined && isReason(reason) ? reason : undefined;
  }
  return readable(error)?.code;
}

/** When an error says to try again, in milliseconds, whether it was thrown here or came from a peer; undefined if it does not. */
export function retryAfterOf(error: unknown): number | undefined {
  if (!(error instanceof ConnectError)) return readable(error)?.retryAfterMs;
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay && Number(delay.seconds) * 1_000 + delay.nanos / 1_000_000;
}

/**
 * The error with an ErrorInfo: its own, or, for what the framework refuses by itself (size, encoding, an unknown
 * method), the general reason of its code.
 */
export function withReason(error: ConnectError): ConnectError {
  if (error.findDetails(ErrorInfoSchema).length > 0) return error;
  const reason = generalReasons[error.code];
  const value = { reason: reason ?? "UNKNOWN", domain: errorDomain, metadata: {} };
  return new ConnectError(
    told(error.rawMessage),
    reason === undefined ? error.code : reasons[reason],
    error.metadata,
    [{ desc: ErrorInfoSchema, value }],
    error.cause,
  );
}

export function isReason(text: string): text is Reason {
  return Object.hasOwn(reasons, text);
}

/** Errors of Attestry's packages, those that do not know the chassis included: their `code` is a reason. */
function readable(
  error: unknown,
): { code: Reason; message: string; metadata: Record<string, string>; retryAfterMs?: number | undefined } | undefined {
  if (error instanceof DomainError) return error;
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string" || !isReason(error.code))
    return undefined;
  const metadata = "metadata" in error ? (error.metadata as Record<string, string>) : {};
  const retryAfterMs = "retryAfterMs" in error ? (error.retryAfterMs as number | undefined) : undefined;
  return { code: error.code, message: error.message, metadata, retryAfterMs };
}

const generalReasons: Partial<Record<Code, Reason>> = {
  [Code.Canceled]: "CANCELLED",
  [Code.InvalidArgument]: "REQUEST_MALFORMED",
  [Code.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [Code.ResourceExhausted]: "MESSAGE_TOO_LARGE",
  [Code.Unimplemented]: "METHOD_UNKNOWN",
  [Code.Internal]: "INTERNAL",
  [Code.Unavailable]: "PEER_UNAVAILABLE",
};

function bounded(metadata: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, told(value)]));
}

/**
 * The text as a header can hold it: of a bounded length, and whole. A message may cut what it quotes within a character,
 * and encoding half of one throws.
 */
function told(text: string): string {
  return text.slice(0, longestDetail).toWellFormed();
}

function durationOf(milliseconds: number): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds: BigInt(seconds), nanos: Math.round((milliseconds - seconds * 1000) * 1_000_000) };
}
