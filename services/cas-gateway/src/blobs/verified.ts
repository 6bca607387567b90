import { createHash } from "node:crypto";
import { DomainError } from "@attestry/service-kit";
import { type BlobQuery, digestOf } from "./blob-ref.ts";

/**
 * Passes the bytes on and ends normally only if they are the blob. Throws SIZE_MISMATCH as soon as there are too
 * many, and SIZE_MISMATCH or DIGEST_MISMATCH at the end; a size that is not known is any. So whoever makes a blob visible at the end of this is safe.
 */
export async function* verified(
  source: AsyncIterable<Uint8Array>,
  { hex: expected, sizeBytes }: BlobQuery,
): AsyncGenerator<Uint8Array, void, void> {
  const hash = createHash("sha256");
  let received = 0;
  for await (const chunk of source) {
    received += chunk.byteLength;
    if (sizeBytes !== undefined && received > sizeBytes) throw sizeMismatch(sizeBytes, `at least ${received}`);
    hash.update(chunk);
    yield chunk;
  }
  if (sizeBytes !== undefined && received !== sizeBytes) throw sizeMismatch(sizeBytes, String(received));
  const hex = hash.digest("hex");
  if (hex !== expected) throw digestMismatch(expected, hex);
}

export function sizeMismatch(expected: number, actual: string): DomainError {
  return new DomainError("SIZE_MISMATCH", `the blob's name says ${expected} bytes, ${actual} came`, {
    metadata: { expected: String(expected), actual },
  });
}

export function digestMismatch(expected: string, actual: string): DomainError {
  return new DomainError(
    "DIGEST_MISMATCH",
    `the blob's name says ${digestOf(expected)}, what came is ${digestOf(actual)}`,
    {
      metadata: { expected: digestOf(expected), actual: digestOf(actual) },
    },
  );
}

export function blobTooLarge(mostBytes: number, actual: string): DomainError {
  return new DomainError("BLOB_TOO_LARGE", `a blob may have at most ${mostBytes} bytes here, this one has ${actual}`, {
    metadata: { expected: String(mostBytes), actual },
  });
}
