import type { KeyObject } from "node:crypto";
import { type SignedEntity, type TrustMaterial, VerificationError, Verifier } from "@sigstore/verify";
import { BundleError, type BundleErrorCode } from "../error.ts";
import type { Anchor, ParsedTrustPolicy } from "./trust-policy.ts";

/**
 * Verifies what was signed with @sigstore/verify: timestamps, then the certificate at each of them, the log entries, the
 * signatures. `trustedKey` is for what is verified by a key and no certificate.
 *
 * @throws BundleError SIGNATURE_INVALID, SIGNER_UNTRUSTED, TRANSPARENCY_LOG_THRESHOLD, TIMESTAMP_THRESHOLD,
 * VERIFICATION_MATERIAL_INVALID.
 */
export function verifyEntity(
  entity: SignedEntity,
  policy: ParsedTrustPolicy,
  anchor: Anchor,
  trustedKey?: KeyObject,
): void {
  const { tlogs, timestampAuthorities, transparencyLogThreshold, timestampThreshold } = policy;
  const { certificateAuthorities, ctlogs, ctlogThreshold } = anchor;
  const publicKey: TrustMaterial["publicKey"] = () => {
    if (trustedKey === undefined) {
      throw new VerificationError({ code: "PUBLIC_KEY_ERROR", message: "no key is trusted" });
    }
    return { publicKey: trustedKey, validFor: () => true };
  };
  const trust = { certificateAuthorities, timestampAuthorities, tlogs, ctlogs, publicKey };
  const thresholds = { ctlogThreshold, tlogThreshold: transparencyLogThreshold, timestampThreshold };
  try {
    new Verifier(trust, thresholds).verify(entity);
  } catch (error) {
    throw refusalOf(error);
  }
}

/** What the refusal says where no authority of the anchor issued the certificate. */
export const NOT_ISSUED = "expected one that a trusted authority issued, got another's";

/** What it says where the certificate, or one of its authorities, was not good at one of the times. */
export const EXPIRED = "expected one that is good at the time, as its authorities have to be; got another";

// Codes of VerificationError, by what they begin with.
const CODES: readonly (readonly [start: string, code: BundleErrorCode, what: string])[] = [
  ["TIMESTAMP_", "TIMESTAMP_THRESHOLD", "timestamp"],
  ["TLOG_", "TRANSPARENCY_LOG_THRESHOLD", "log entry"],
  ["CERTIFICATE_", "SIGNER_UNTRUSTED", "certificate"],
  ["PUBLIC_KEY_", "SIGNER_UNTRUSTED", "public key"],
  ["SIGNATURE_", "SIGNATURE_INVALID", "signature"],
];

function refusalOf(error: unknown): BundleError {
  if (error instanceof VerificationError) {
    // The cause says more: which of the checks of a certificate failed.
    const text = error.cause instanceof Error ? error.cause.message : error.message;
    const reason = text.endsWith("certificate path found")
      ? NOT_ISSUED
      : text.includes(" expired at ")
        ? EXPIRED
        : text;
    for (const [start, code, what] of CODES) {
      if (error.code.startsWith(start)) {
        return new BundleError(code, `${what}: ${clean(reason)}`, { cause: error });
      }
    }
  }
  // The verifier meets material of unexpected shape with all kinds of errors: a TypeError, a parser's own.
  const why = "expected certificates, timestamps and log entries that can be verified, got some that cannot be read";
  return new BundleError("VERIFICATION_MATERIAL_INVALID", `verificationMaterial: ${why}`, { cause: error });
}

const LONGEST_REASON = 300;

// The verifier's texts may quote what the bundle holds.
function clean(text: string): string {
  return text
    .slice(0, LONGEST_REASON)
    .toWellFormed()
    .replace(/\p{Cc}/gu, " ");
}
