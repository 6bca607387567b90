import { type CasPrincipal, DomainError } from "@attestry/service-kit";
import { type BlobRef, digestOf } from "../blobs/blob-ref.ts";

/** Throws BLOB_TOO_LARGE or DIGEST_NOT_ALLOWED if the caller may not upload that blob. */
export function checkUpload(caller: CasPrincipal, blob: BlobRef): void {
  checkDigest(caller, blob.hex);
  if (blob.sizeBytes <= caller.maxBytes) return;
  throw new DomainError(
    "BLOB_TOO_LARGE",
    `a blob may have at most ${caller.maxBytes} bytes here, this one has ${blob.sizeBytes}`,
    {
      metadata: { expected: String(caller.maxBytes), actual: String(blob.sizeBytes) },
    },
  );
}

/** Throws DIGEST_NOT_ALLOWED if the caller's token is for another blob. */
export function checkDigest(caller: CasPrincipal, hex: string): void {
  const digest = digestOf(hex);
  if (caller.digest === undefined || caller.digest === digest) return;
  throw new DomainError("DIGEST_NOT_ALLOWED", `the token is for ${caller.digest}, not for ${digest}`, {
    metadata: { expected: caller.digest, actual: digest },
  });
}
