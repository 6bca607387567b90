export type BlobErrorCode = "BLOB_CORRUPT" | "DIGEST_INVALID" | "SIZE_MISMATCH" | "SOURCE_CHANGED";

/**
 * What this package finds itself; errors of the gateway stay ConnectErrors.
 *
 * - BLOB_CORRUPT: what came is not what the digest and the size name
 * - DIGEST_INVALID: a digest is not `sha256:` and 64 lower-case hex digits
 * - SIZE_MISMATCH: the source of an upload gave more or fewer bytes than announced
 * - SOURCE_CHANGED: the source of an upload gave as many bytes as announced, but others
 */
export class BlobError extends Error {
  override readonly name = "BlobError";
  readonly code: BlobErrorCode;

  constructor(code: BlobErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
