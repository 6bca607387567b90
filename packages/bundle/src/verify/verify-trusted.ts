import { X509Certificate } from "@sigstore/core";
import type { SignedEntity } from "@sigstore/verify";
import { quote } from "../describe.ts";
import { BundleError, mismatch } from "../error.ts";
import type { ParsedBundle } from "../parse-bundle.ts";
import { type Certificate, readCertificate } from "./certificate.ts";
import { checkCheckpointRoots } from "./checkpoint-root.ts";
import { isSignedBy, verifyEnvelope } from "./envelope-signature.ts";
import { type Evidence, integratedAt, judgedAt, readEvidence } from "./evidence.ts";
import { checkLoggedKeys } from "./logged-key.ts";
import { leafOf, materialOf } from "./material.ts";
import { signedContent } from "./signed-content.ts";
import { isSignerAllowed } from "./signer-pattern.ts";
import type { Anchor, ParsedTrustPolicy } from "./trust-policy.ts";
import { EXPIRED, NOT_ISSUED, verifyEntity } from "./verify-entity.ts";

export interface TrustedSigner {
  /** Of the certificate, as its authority vouches for it; empty if it names none, or if a bare key is what is trusted. */
  signer: string;
  /** The OIDC issuer; empty as signer. */
  issuer: string;
  /** When a trusted transparency log took it in, as the log itself signed; undefined: none said so. */
  integratedAt: Date | undefined;
}

/**
 * Verifies a bundle against what is trusted: log entries, timestamps, the signer's certificate up to an authority (or a
 * key that is trusted itself), the signatures, and who signed. A certificate is judged at each time that a trusted log
 * or timestamp authority signed; where there is none, and the policy asks for none, at receivedAt.
 *
 * @throws BundleError SIGNATURE_INVALID; SIGNER_UNTRUSTED; TRANSPARENCY_LOG_THRESHOLD: fewer entries than asked for, or
 * one that is of no trusted log or not about this bundle; TIMESTAMP_THRESHOLD: the same of signed times;
 * VERIFICATION_MATERIAL_INVALID.
 */
export function verifyTrusted(bundle: ParsedBundle, policy: ParsedTrustPolicy, receivedAt: Date): TrustedSigner {
  const evidence = readEvidence(bundle, policy, receivedAt);
  const der = leafOf(materialOf(bundle));
  const { signer, issuer } =
    der === undefined ? verifyByKey(bundle, policy, evidence) : verifyByCertificate(bundle, policy, evidence, der);
  if (!isSignerAllowed(policy.signers, signer, issuer)) {
    const expected = "a signer that one of the policy's patterns matches";
    throw mismatch("SIGNER_UNTRUSTED", "signer", expected, `${quote(signer)} by issuer ${quote(issuer)}`);
  }
  checkCheckpointRoots(evidence.tlogEntries);
  return { signer, issuer, integratedAt: integratedAt(evidence) };
}

type Signer = Pick<TrustedSigner, "signer" | "issuer">;

const NAMELESS: Signer = { signer: "", issuer: "" };
const NO_AUTHORITY: Anchor = { certificateAuthorities: [], ctlogs: [], ctlogThreshold: 0 };
const KEY: SignedEntity["key"] = { $case: "public-key", hint: "" };

function verifyByCertificate(
  bundle: ParsedBundle,
  policy: ParsedTrustPolicy,
  evidence: Evidence,
  der: Buffer<ArrayBuffer>,
): Signer {
  const certificate = readCertificate(der);
  const signature = signedContent(bundle.envelope, verifyEnvelope(bundle.envelope, certificate.key));
  const refusals: BundleError[] = [];
  const key: SignedEntity["key"] = { $case: "certificate", certificate: X509Certificate.parse(der) };
  for (const anchor of certificate.isForSigning ? policy.anchors : []) {
    try {
      verifyEntity({ ...evidence, signature, key }, policy, anchor);
      checkLoggedKeys(evidence.tlogEntries, certificate.key.object);
      return { signer: certificate.signer, issuer: certificate.issuer };
    } catch (error) {
      if (!(error instanceof BundleError)) {
        throw error;
      }
      refusals.push(error);
    }
  }
  if (policy.publicKeys.some((trusted) => trusted.object.equals(certificate.key.object))) {
    verifyEntity({ ...evidence, signature, key: KEY }, policy, NO_AUTHORITY, certificate.key.object);
    checkLoggedKeys(evidence.tlogEntries, certificate.key.object);
    return NAMELESS;
  }
  const refusal = mostTelling(refusals);
  throw refusal?.message.endsWith(EXPIRED)
    ? expiredCertificate(certificate, evidence)
    : (refusal ?? untrustedCertificate(certificate));
}

// The bundle carries no key, or only the hint of one, which anybody can write: any trusted key may have signed it.
function verifyByKey({ envelope }: ParsedBundle, policy: ParsedTrustPolicy, evidence: Evidence): Signer {
  const key = policy.publicKeys.find((trusted) => isSignedBy(envelope, trusted));
  if (key === undefined) {
    const actual = `${envelope.signatures.length} by none of the ${policy.publicKeys.length} trusted keys`;
    throw mismatch(
      "SIGNER_UNTRUSTED",
      "signatures without a certificate",
      "all of them by a trusted public key",
      actual,
    );
  }
  const signature = signedContent(envelope, verifyEnvelope(envelope, key));
  verifyEntity({ ...evidence, signature, key: KEY }, policy, NO_AUTHORITY, key.object);
  checkLoggedKeys(evidence.tlogEntries, key.object);
  return NAMELESS;
}

// An authority that issued the certificate and then refuses it says more than all that did not issue it.
function mostTelling(refusals: readonly BundleError[]): BundleError | undefined {
  return (
    refusals.find(({ code }) => code !== "SIGNER_UNTRUSTED") ??
    refusals.find(({ message }) => !message.endsWith(NOT_ISSUED)) ??
    refusals[0]
  );
}

function expiredCertificate({ validity: [from, to] }: Certificate, evidence: Evidence): BundleError {
  const times = judgedAt(evidence);
  const actual = times.every((time) => from <= time && time <= to)
    ? "one whose authority is not"
    : `one that is good from ${from} to ${to}`;
  return mismatch("SIGNER_UNTRUSTED", "certificate", `one that is good at ${times.join(" and ")}`, actual);
}

function untrustedCertificate({ isForSigning }: Certificate): BundleError {
  return isForSigning
    ? mismatch("SIGNER_UNTRUSTED", "certificate", "one of a trusted authority", "one, and the policy trusts none")
    : mismatch("SIGNER_UNTRUSTED", "certificate", "one for signatures of code", "one that is for other uses");
}
