import { hash } from "node:crypto";
import { quote } from "./describe.ts";
import { BundleError } from "./error.ts";

declare const digestBrand: unique symbol;

/** The SHA-256 of some bytes, written `sha256:` and 64 lower-case hexadecimal digits. */
export type Digest = `sha256:${string}` & { readonly [digestBrand]: true };

const PREFIX = "sha256:";
const DIGEST_BYTES = 32;
const DIGEST_PATTERN = /^sha256:[0-9a-f]{64}$/;
const EXPECTED = "sha256: and 64 lower-case hexadecimal digits";

/** The digest of the bytes exactly as they are. */
export function digestOf(bytes: Uint8Array): Digest {
  return (PREFIX + hash("sha256", bytes, "hex")) as Digest;
}

/**
 * Reads a digest that came from outside.
 *
 * @throws BundleError DIGEST_INVALID: anything but the one spelling. Upper case is refused rather than folded, so that
 * a digest has one name wherever it is compared as text.
 */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) {
    const actual = quote(text);
    throw new BundleError("DIGEST_INVALID", `digest: expected ${EXPECTED}, got ${actual}${hintFor(text)}`, {
      metadata: { expected: EXPECTED, actual },
    });
  }
  return text;
}

/** Whether the text is a digest in its one spelling. */
export function isDigest(text: string): text is Digest {
  return DIGEST_PATTERN.test(text);
}

/** The 32 bytes of a digest. */
export function digestBytes(digest: Digest): Buffer {
  return Buffer.from(digestHex(digest), "hex");
}

/**
 * The digest that these 32 bytes are; the reverse of digestBytes.
 *
 * @throws BundleError DIGEST_INVALID: not 32 bytes.
 */
export function digestFromBytes(bytes: Uint8Array): Digest {
  if (bytes.length !== DIGEST_BYTES) {
    const expected = `${DIGEST_BYTES} bytes`;
    const actual = `${bytes.length} bytes`;
    throw new BundleError("DIGEST_INVALID", `digest: expected ${expected}, got ${actual}`, {
      metadata: { expected, actual },
    });
  }
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
  return (PREFIX + hex) as Digest;
}

/** The 64 hexadecimal digits alone, as the Remote Execution API names blobs. */
export function digestHex(digest: Digest): string {
  return digest.slice(PREFIX.length);
}

function hintFor(text: string): string {
  if (DIGEST_PATTERN.test(text.slice(0, PREFIX.length + 2 * DIGEST_BYTES + 1).toLowerCase())) {
    return " (upper case)";
  }
  if (!text.startsWith(PREFIX)) {
    return " (no sha256: before it)";
  }
  const digits = text.length - PREFIX.length;
  return digits === 2 * DIGEST_BYTES ? "" : ` (${digits} characters after sha256:)`;
}
