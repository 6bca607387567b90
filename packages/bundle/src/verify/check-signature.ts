import type { ParsedBundle } from "../parse-bundle.ts";
import { type Certificate, readCertificate } from "./certificate.ts";
import { verifyEnvelope } from "./envelope-signature.ts";
import { leafOf, materialOf } from "./material.ts";

export type SignatureCheck =
  /** By the key of the certificate that the bundle carries; signer and issuer are what that certificate says. */
  | { status: "verified"; signer: string; issuer: string }
  /** It carries neither key nor certificate. */
  | { status: "not_checked"; reason: "no_key" };

/**
 * Verifies the signatures of a bundle by the certificate that it carries: that nothing was changed since it was signed,
 * by whomever. The certificate itself is not verified.
 *
 * @throws BundleError SIGNATURE_INVALID: one of the signatures is not by that key. VERIFICATION_MATERIAL_INVALID: the
 * certificate cannot be read.
 */
export function checkSignature(bundle: ParsedBundle): SignatureCheck {
  const certificate = certificateOf(bundle);
  return certificate === undefined ? NO_KEY : checkBy(certificate, bundle);
}

/**
 * checkSignature for an event loop: 0.1 ms for 64 KB by a P-256 key. Undefined, and nothing is verified, if it could take
 * a millisecond: with several signatures, by a key of a larger kind, or with a certificate that is larger than any authority
 * makes them. Throws as checkSignature does.
 */
export function checkSignatureIfFast(bundle: ParsedBundle): SignatureCheck | undefined {
  if (bundle.envelope.signatures.length > 1) {
    return undefined;
  }
  const der = leafOf(materialOf(bundle));
  if (der === undefined) {
    return NO_KEY;
  }
  if (der.length > LONGEST_FAST_CERTIFICATE) {
    return undefined;
  }
  const certificate = readCertificate(der);
  return certificate.key.isFast ? checkBy(certificate, bundle) : undefined;
}

/** In bytes of DER; one of Fulcio has 800. */
const LONGEST_FAST_CERTIFICATE = 8 * 1024;

const NO_KEY: SignatureCheck = { status: "not_checked", reason: "no_key" };

function certificateOf(bundle: ParsedBundle): Certificate | undefined {
  const der = leafOf(materialOf(bundle));
  return der === undefined ? undefined : readCertificate(der);
}

function checkBy({ key, signer, issuer }: Certificate, { envelope }: ParsedBundle): SignatureCheck {
  verifyEnvelope(envelope, key);
  return { status: "verified", signer, issuer };
}
