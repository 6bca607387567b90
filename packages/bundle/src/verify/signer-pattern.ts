import { matchesPattern } from "../pattern.ts";

/** Who may have signed, as the certificate names them. An empty pattern matches every value. */
export type SignerPattern = {
  /** Of the subject alternative name. */
  subject: string;
  /** Of the OIDC issuer. */
  issuer: string;
};

/** Whether one of the patterns matches; no pattern at all lets every signer in. */
export function isSignerAllowed(patterns: readonly SignerPattern[], signer: string, issuer: string): boolean {
  return (
    patterns.length === 0 ||
    patterns.some((pattern) => matches(pattern.subject, signer) && matches(pattern.issuer, issuer))
  );
}

function matches(pattern: string, text: string): boolean {
  return pattern === "" || matchesPattern(pattern, text);
}
