import { DomainError, type Reason, reasonOf, retryAfterOf } from "@attestry/service-kit";
import { Code, ConnectError } from "@connectrpc/connect";

/** Faults of the backend that stay until an operator acts, who needs no change here for it. */
const staying: ReadonlySet<Reason> = new Set<Reason>(["BACKEND_MISCONFIGURED", "SECRET_INVALID"]);

/** The gateway or what is behind it does not work for now. */
const passing: ReadonlySet<Reason> = new Set<Reason>([
  "BACKEND_UNAVAILABLE",
  "BACKEND_FULL",
  "BACKEND_INVALID",
  "CAS_UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "PEER_UNAVAILABLE",
  "SHUTTING_DOWN",
]);

/** The gateway works and was asked too often: neither its fault nor the blob's. */
const heldBack: ReadonlySet<Reason> = new Set<Reason>(["RATE_LIMITED", "STORE_BUSY"]);
/** When an answer of that kind does not say how long to wait. */
const heldBackMs = 1_000;

/** How long the gateway or workflow-run asks to hold back a call that was one too many, in milliseconds; undefined: it was none. */
export function heldBackFor(error: unknown): number | undefined {
  const reason = reasonOf(error);
  return reason !== undefined && heldBack.has(reason) ? (retryAfterOf(error) ?? heldBackMs) : undefined;
}

/** Whether a call to the gateway failed by a fault of the gateway or the backend, not of this blob. */
export function isCasFault(error: unknown): boolean {
  const reason = reasonOf(error);
  if (reason !== undefined && (passing.has(reason) || staying.has(reason))) return true;
  return error instanceof ConnectError && (error.code === Code.Unavailable || error.code === Code.DeadlineExceeded);
}

/** CAS_UNAVAILABLE for a fault that passes, the same reason for a backend's that stays; any other error as it is. */
export function casFault(error: unknown, what: string): unknown {
  if (!isCasFault(error)) return error;
  const why = ConnectError.from(error).rawMessage;
  const reason = reasonOf(error);
  if (reason !== undefined && staying.has(reason)) return new DomainError(reason, `${what}: ${why}`, { cause: error });
  return new DomainError("CAS_UNAVAILABLE", `${what}: ${why}`, { retryAfterMs: 2_000, cause: error });
}
