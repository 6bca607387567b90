import {
  checkSignature,
  type ParsedBundle,
  parseTrustPolicy,
  type TrustedSigner,
  verifyTrusted,
} from "@attestry/bundle";
import type { CommandError } from "./errors.ts";
import type { TrustTexts } from "./trust-options.ts";

/** Who signed a bundle, as its own certificate says. Throws BundleError, and what is given if it carries no key. */
export function carriedSigner(
  bundle: ParsedBundle,
  notChecked: () => CommandError,
): Pick<TrustedSigner, "signer" | "issuer"> {
  const found = checkSignature(bundle);
  if (found.status === "verified") return found;
  throw notChecked();
}

/** Who signed a bundle, as a trust policy vouches for. Throws BundleError. */
export function trustedSigner(bundle: ParsedBundle, texts: TrustTexts, at: Date): TrustedSigner {
  const { trustedRoots, certificateAuthorities, publicKeys, ...rest } = texts;
  const material = { trustedRoots, certificateAuthorities, publicKeys };
  return verifyTrusted(bundle, parseTrustPolicy({ ...rest, material }), at);
}
