/** PostgreSQL, appendix A: 23503 is foreign_key_violation. Prisma calls it P2003. */
export function isForeignKeyViolation(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "23503" || error.code === "P2003");
}

/** PostgreSQL, appendix A: 23514 is check_violation. Prisma has no code for it, and keeps PostgreSQL's. */
export function isCheckViolation(error: unknown): boolean {
  return error instanceof Error && (error as DriverFault).meta?.driverAdapterError?.cause?.originalCode === "23514";
}

/** What Prisma's errors have beside their code. */
interface DriverFault extends Error {
  meta?: { driverAdapterError?: { cause?: { originalCode?: string } } };
}
