import { type CasPrincipal, DomainError } from "@attestry/service-kit";
import { type BlobQuery, digestOf } from "../blobs/blob-ref.ts";
import { blobTooLarge } from "../blobs/verified.ts";

/** Throws BLOB_TOO_LARGE or DIGEST_NOT_ALLOWED if the caller may not upload that blob, as far as its size is known. */
export function checkUpload(caller: CasPrincipal, { hex, sizeBytes = 0 }: BlobQuery): void {
  checkDigest(caller, hex);
  if (sizeBytes > caller.maxBytes) throw blobTooLarge(caller.maxBytes, String(sizeBytes));
}

/** Throws DIGEST_NOT_ALLOWED if the caller's token is for another blob. */
export function checkDigest(caller: CasPrincipal, hex: string): void {
  const digest = digestOf(hex);
  if (caller.digest === undefined || caller.digest === digest) return;
  throw new DomainError("DIGEST_NOT_ALLOWED", `the token is for ${caller.digest}, not for ${digest}`, {
    metadata: { expected: caller.digest, actual: digest },
  });
}
