import { DomainError, type Reason, reasonOf } from "@attestry/service-kit";
import { Code, ConnectError } from "@connectrpc/connect";

/** The gateway or what is behind it does not work for now; an operator can mend each without a change here. */
const passing: ReadonlySet<Reason | undefined> = new Set([
  "BACKEND_UNAVAILABLE",
  "BACKEND_FULL",
  "BACKEND_INVALID",
  "CAS_UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "PEER_UNAVAILABLE",
  "SECRET_INVALID",
  "SHUTTING_DOWN",
]);

/** Whether a call to the gateway failed by a fault of the gateway or the backend, not of this blob. */
export function isCasFault(error: unknown): boolean {
  if (passing.has(reasonOf(error))) return true;
  return error instanceof ConnectError && (error.code === Code.Unavailable || error.code === Code.DeadlineExceeded);
}

/** CAS_UNAVAILABLE for a fault that passes; any other error as it is. */
export function casFault(error: unknown, what: string): unknown {
  if (!isCasFault(error)) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new DomainError("CAS_UNAVAILABLE", `${what}: ${why}`, { retryAfterMs: 2_000, cause: error });
}
