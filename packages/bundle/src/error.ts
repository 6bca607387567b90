/**
 * Every reason for which this package refuses what it is given. The codes are the reasons that Store, Get, List and
 * setting a trust policy answer with INVALID_ARGUMENT.
 */
export const BUNDLE_ERROR_CODES = [
  "BUNDLE_EMPTY",
  "BUNDLE_NOT_UTF8",
  "BUNDLE_NOT_JSON",
  "BUNDLE_COMPRESSED",
  "BUNDLE_MALFORMED",
  "BUNDLE_TOO_COMPLEX",
  "BUNDLE_WITHOUT_CONTENT",
  "MESSAGE_SIGNATURE",
  "PAYLOAD_NOT_BASE64",
  "PAYLOAD_TYPE_UNSUPPORTED",
  "SIGNATURE_MISSING",
  "STATEMENT_MALFORMED",
  "SUBJECT_MISSING",
  "DIGEST_INVALID",
  "SIGNATURE_INVALID",
  "SIGNER_UNTRUSTED",
  "TRANSPARENCY_LOG_THRESHOLD",
  "TIMESTAMP_THRESHOLD",
  "VERIFICATION_MATERIAL_INVALID",
  "TRUST_MATERIAL_INVALID",
] as const;

export type BundleErrorCode = (typeof BUNDLE_ERROR_CODES)[number];

export type BundleErrorOptions = {
  /** What was expected and what came, as short texts; never the payload. */
  metadata?: Record<string, string>;
  cause?: unknown;
};

/** A bundle, statement or digest is refused for good: the same input is refused again. */
export class BundleError extends Error {
  readonly code: BundleErrorCode;
  readonly metadata: Record<string, string>;

  constructor(code: BundleErrorCode, message: string, options: BundleErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "BundleError";
    this.code = code;
    this.metadata = options.metadata ?? {};
  }
}

/** An error whose message and metadata both say what was expected and what came. */
export function mismatch(code: BundleErrorCode, what: string, expected: string, actual: string): BundleError {
  return new BundleError(code, `${what}: expected ${expected}, got ${actual}`, { metadata: { expected, actual } });
}
