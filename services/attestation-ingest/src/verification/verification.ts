/** What the organization asks of a signature when its attestation is stored. */
export type VerificationMode = "off" | "signature" | "trusted";

/** What was found at the moment of receipt, as the row of an attestation keeps it. */
export interface Verification {
  verificationMode: VerificationMode;
  /** Or why it was not checked. */
  verificationResult: "verified" | "off" | "no_key";
  /** Of the certificate; null unless verified, empty if there is none or it names none. */
  signer: string | null;
  issuer: string | null;
  /** When a trusted transparency log took it in; null: no entry was asked for or needed. */
  integratedAt: Date | null;
  /** Of the trust policy; null unless the mode is trusted. */
  trustRevision: number | null;
}

/** The same as a row is read: all null if a build wrote it that verified nothing. */
export type KeptVerification = { [K in keyof Verification]: Verification[K] | null };
