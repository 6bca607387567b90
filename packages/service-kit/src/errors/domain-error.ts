import type { Reason } from "./reasons.ts";

export interface DomainErrorOptions {
  /** Values that the message speaks of, for example `expected` and `actual`; reaches the client. Never secrets. */
  metadata?: Record<string, string>;
  /** Set only when the fault passes: when to try again, in milliseconds. Reaches the client as RetryInfo. */
  retryAfterMs?: number;
  cause?: unknown;
}

/**
 * An error that the caller is meant to read. `code` is its stable reason; the message says what was expected and
 * what came. The chassis turns it into a Connect error with ErrorInfo; all other errors reach clients as INTERNAL.
 */
export class DomainError extends Error {
  override readonly name = "DomainError";
  readonly code: Reason;
  readonly metadata: Record<string, string>;
  readonly retryAfterMs: number | undefined;

  constructor(code: Reason, message: string, options: DomainErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.metadata = options.metadata ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }
}
