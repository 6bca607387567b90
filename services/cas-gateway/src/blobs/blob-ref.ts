import { DomainError } from "@attestry/service-kit";

/** A blob as the Remote Execution API names it. */
export interface BlobRef {
  /** Lower-case hex of its SHA-256. */
  hex: string;
  sizeBytes: number;
}

/** A blob whose size need not be known, as where a URL names only its digest. */
export interface BlobQuery {
  hex: string;
  sizeBytes: number | undefined;
}

const hexPattern = /^[0-9a-f]{64}$/;
const sizePattern = /^(?:0|[1-9][0-9]{0,15})$/;

/** Of no bytes. */
const emptyHex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** Servers of the Remote Execution API must behave as though the empty blob is always there (ContentAddressableStorage). */
export function isEmptyBlob({ hex, sizeBytes }: BlobQuery): boolean {
  return sizeBytes === 0 && hex === emptyHex;
}

export function isDigestHex(text: string): boolean {
  return hexPattern.test(text);
}

/** A size in bytes as resource names write it: decimal, no sign, no leading zero. Undefined if it is none. */
export function parseSize(text: string): number | undefined {
  const size = Number(text);
  return sizePattern.test(text) && Number.isSafeInteger(size) ? size : undefined;
}

/** `sha256:<hex>`, as Attestry's own API writes digests. */
export function digestOf(hex: string): string {
  return `sha256:${hex}`;
}

/** The hex digits of `sha256:<hex>`. Throws DIGEST_INVALID. */
export function parseDigest(digest: string): string {
  const hex = digest.startsWith("sha256:") ? digest.slice("sha256:".length) : "";
  if (isDigestHex(hex)) return hex;
  const actual = JSON.stringify(digest.slice(0, 100));
  throw new DomainError("DIGEST_INVALID", `expected sha256: and 64 lower-case hex digits, got ${actual}`, {
    metadata: { expected: "sha256:<64 lower-case hex digits>", actual: digest.slice(0, 100) },
  });
}

/** A blob from a Digest message of the Remote Execution API. Throws DIGEST_INVALID. */
export function parseDigestMessage(digest: { hash: string; sizeBytes: bigint } | undefined): BlobRef {
  const { hash = "", sizeBytes = 0n } = digest ?? {};
  const size = Number(sizeBytes);
  if (!isDigestHex(hash)) {
    throw new DomainError(
      "DIGEST_INVALID",
      `expected 64 lower-case hex digits of a SHA-256, got ${JSON.stringify(hash.slice(0, 100))}`,
      {
        metadata: { expected: "64 lower-case hex digits", actual: hash.slice(0, 100) },
      },
    );
  }
  if (size < 0 || !Number.isSafeInteger(size)) {
    throw new DomainError("DIGEST_INVALID", `expected a size from 0 to 2^53 - 1 bytes, got ${sizeBytes}`, {
      metadata: { expected: "0 to 2^53 - 1", actual: String(sizeBytes) },
    });
  }
  return { hex: hash, sizeBytes: size };
}
