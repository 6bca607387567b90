import { ErrorInfoSchema, RetryInfoSchema } from "@attestry/api/errors";
import { Code, ConnectError } from "@connectrpc/connect";

/** The reason in an error's ErrorInfo; undefined for what is no answer of a service. */
export function reasonOf(error: unknown): string | undefined {
  return error instanceof ConnectError ? error.findDetails(ErrorInfoSchema)[0]?.reason : undefined;
}

/** How long the server asks to wait, in milliseconds; undefined if it does not ask. */
export function retryDelayOf(error: unknown): number | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay && Number(delay.seconds) * 1_000 + delay.nanos / 1_000_000;
}

/** Whether a call failed by something that may pass, so that going on is worth an attempt. */
export function mayPass(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return false;
  // Something between here and the gateway ended the stream: what was sent did finish.
  if (reasonOf(error) === "WRITE_UNFINISHED") return true;
  switch (error.code) {
    case Code.Unavailable:
    case Code.Aborted:
    case Code.DeadlineExceeded:
    case Code.Canceled:
      return true;
    case Code.ResourceExhausted:
      return retryDelayOf(error) !== undefined || isBrokenConnection(error);
    default:
      return isBrokenConnection(error);
  }
}

/** Whether nothing of the gateway has been reached, or the connection to it has gone: no answer of a service. */
export function isBrokenConnection(error: unknown): boolean {
  if (!(error instanceof ConnectError) || reasonOf(error) !== undefined) return false;
  switch (error.code) {
    case Code.Unavailable:
    case Code.Aborted:
    case Code.Internal:
      return true;
    default:
      // A stream that ends in mid-message reads as invalid_argument (connectrpc/connect-es#1751) or unknown.
      return /^(protocol error: |http\/2 stream closed )/.test(error.rawMessage);
  }
}
