import { types } from "node:util";
import { DomainError } from "./domain-error.ts";

// PostgreSQL, appendix A: class 08 connection exception, 53 insufficient resources, 57P0x shutdown and 57014
// statement timeout, 40001 and 40P01 serialization failure and deadlock.
const passingStates = /^(08...|53...|57P0.|57014|40001|40P01)$/;
const networkCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
]);
const clientMessages = [
  "Connection terminated",
  "timeout exceeded when trying to connect",
  "Query read timeout",
  "Client has encountered a connection error",
];

/**
 * DATABASE_UNAVAILABLE for an error of pg or Prisma that passes (the server is away, restarting, overloaded or the
 * statement ran out of time); undefined for all else, which is a bug.
 */
export function databaseFault(error: unknown): DomainError | undefined {
  for (let cause = error, depth = 0; types.isNativeError(cause) && depth < 5; cause = cause.cause, depth++) {
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

function isPassing(error: Error): boolean {
  // P1001, P1002, P1008, P1017, P2024, P2028: Prisma's codes for a server out of reach, a time-out, a full pool.
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (/^(P1001|P1002|P1008|P1017|P2024|P2028)$/.test(code)) return true;
  if (passingStates.test(code)) return true;
  // A name with several addresses fails with one error for all of them.
  if (networkCodes.has(code) && ("syscall" in error || "errors" in error)) return true;
  return clientMessages.some((message) => error.message.startsWith(message));
}
