import { createHash } from "node:crypto";
import { DomainError } from "@attestry/service-kit";
import { type BlobRef, digestOf } from "./blob-ref.ts";

/**
 * Passes the bytes on and ends normally only if they are the blob. Throws SIZE_MISMATCH as soon as there are too
 * many, and SIZE_MISMATCH or DIGEST_MISMATCH at the end. So whoever makes a blob visible at the end of this is safe.
 */
export async function* verified(
  source: AsyncIterable<Uint8Array>,
  blob: BlobRef,
): AsyncGenerator<Uint8Array, void, void> {
  const hash = createHash("sha256");
  let received = 0;
  for await (const chunk of source) {
    received += chunk.byteLength;
    if (received > blob.sizeBytes) throw sizeMismatch(blob.sizeBytes, `at least ${received}`);
    hash.update(chunk);
    yield chunk;
  }
  if (received !== blob.sizeBytes) throw sizeMismatch(blob.sizeBytes, String(received));
  const hex = hash.digest("hex");
  if (hex !== blob.hex) throw digestMismatch(blob.hex, hex);
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
