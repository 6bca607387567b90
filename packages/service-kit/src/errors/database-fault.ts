import { types } from "node:util";
import { DomainError } from "./domain-error.ts";

// PostgreSQL, appendix A: class 08 connection exception, 53 insufficient resources, 57P0x shutdown and 57014
// statement timeout, 25P03 idle in transaction for too long, 40001 and 40P01 serialization failure and deadlock.
const passingStates = /^(08...|53...|57P0.|57014|25P03|40001|40P01)$/;
// Prisma's codes for a server out of reach, a time-out, a full pool, a closed transaction, a write conflict, too many connections.
const passingPrismaCodes = /^(P1001|P1002|P1008|P1017|P2024|P2028|P2034|P2037)$/;
const networkCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ECONNABORTED",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_WRITE_AFTER_END",
  "ERR_SOCKET_CLOSED",
]);
const clientMessages = [
  "Connection terminated",
  "timeout exceeded when trying to connect",
  "Query read timeout",
  "Client has encountered a connection error",
  "Client was closed and is not queryable",
  "timeout expired",
];
const longestChain = 5;

/**
 * DATABASE_UNAVAILABLE for an error of pg or Prisma that passes (the server is away, restarting, overloaded or the
 * statement ran out of time); undefined for all else, which is a bug.
 */
export function databaseFault(error: unknown): DomainError | undefined {
  for (const cause of causes(error)) {
    if (isPassing(cause)) {
      return new DomainError(
        "DATABASE_UNAVAILABLE",
        "the service's database cannot be reached or is overloaded; try again",
        {
          retryAfterMs: 1_000,
          cause: error,
        },
      );
    }
  }
  return undefined;
}

/**
 * The error and what it says caused it. Prisma's causes need not be errors: a driver adapter's is a plain object with
 * PostgreSQL's own code, or stands in `meta`.
 */
function* causes(error: unknown): Generator<Fault> {
  let cause = types.isNativeError(error) ? (error as Fault) : undefined;
  for (let depth = 0; cause !== undefined && depth < longestChain; depth++) {
    yield cause;
    const next = cause.cause ?? cause.meta?.driverAdapterError;
    cause = typeof next === "object" && next !== null ? (next as Fault) : undefined;
  }
}

/** What is looked at of an error or of a cause, whichever it has. */
interface Fault {
  code?: unknown;
  originalCode?: unknown;
  message?: unknown;
  cause?: unknown;
  meta?: { driverAdapterError?: unknown };
}

function isPassing({ code, originalCode, message }: Fault): boolean {
  for (const text of [code, originalCode]) {
    if (typeof text !== "string") continue;
    // A socket that has ended gives its code without a system call: `write` after the server's end is a bare EPIPE.
    if (passingPrismaCodes.test(text) || passingStates.test(text) || networkCodes.has(text)) return true;
  }
  return typeof message === "string" && clientMessages.some((start) => message.startsWith(start));
}
