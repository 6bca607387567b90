import { Code, ConnectError } from "@connectrpc/connect";
import { connectErrorOf } from "../errors/connect-error.ts";
import { DomainError } from "../errors/domain-error.ts";

/** The reason with which a call is aborted whose caller went away. */
export function callerGone(cause?: unknown): ConnectError {
  return new ConnectError("the caller went away", Code.Canceled, undefined, undefined, cause);
}

/** The reason with which a call ends that waited for its caller for that long. */
export function callerIdle(idleMs: number): ConnectError {
  return connectErrorOf(
    new DomainError("DEADLINE_EXCEEDED", `the caller was not heard of for ${idleMs} ms; the call was given up`),
  );
}
