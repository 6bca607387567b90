export type VerifyPoolErrorCode = "VERIFIER_CRASHED" | "STORE_BUSY" | "SHUTTING_DOWN";

/** A bundle could not be looked at now. Nothing is said of the bundle: the same one may be tried again. */
export class VerifyPoolError extends Error {
  override readonly name = "VerifyPoolError";
  readonly code: VerifyPoolErrorCode;
  /** When to try again, in milliseconds. */
  readonly retryAfterMs = 1_000;

  constructor(code: VerifyPoolErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}
