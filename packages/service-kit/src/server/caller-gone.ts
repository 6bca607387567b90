import { Code, ConnectError } from "@connectrpc/connect";

/** The reason with which a call is aborted whose caller went away. */
export function callerGone(cause?: unknown): ConnectError {
  return new ConnectError("the caller went away", Code.Canceled, undefined, undefined, cause);
}
