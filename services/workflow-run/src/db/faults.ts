/** PostgreSQL, appendix A: 23503 is foreign_key_violation. Prisma calls it P2003. */
export function isForeignKeyViolation(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "23503" || error.code === "P2003");
}
