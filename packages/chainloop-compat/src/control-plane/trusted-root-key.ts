import { createHash } from "node:crypto";

/**
 * Under which key `SigningService.GetTrustedRoot` has an authority's chain: the command line looks it up by the SHA-256, in
 * hex, of the authority key identifier of the certificate that signed, which is the authority's subject key identifier.
 * @param subjectKeyId of what issues, as the native `SigningService.GetAuthority` answers it
 */
export function trustedRootKey(subjectKeyId: Uint8Array): string {
  return createHash("sha256").update(subjectKeyId).digest("hex");
}
