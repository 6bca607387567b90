import type { TrustPolicy as TrustPolicyMessage } from "@attestry/api/run";
import { parseTrustPolicy, type TrustPolicy } from "@attestry/bundle";
import { DomainError } from "@attestry/service-kit";
import { parseProse } from "../text.ts";

/** Of all texts of a policy together; ingest caches policies, and gets each in one message. */
const mostBytes = 256 * 1024;
const most = { trusted_roots: 8, certificate_authorities: 32, public_keys: 32, signers: 100 } as const;
const longestPattern = 1_024;
const highestThreshold = 10;

/**
 * The policy of a request, bounded and proven to be readable. It has some material: without any nothing could be verified.
 * Throws REQUEST_INVALID, TRUST_MATERIAL_INVALID.
 */
export function readTrustPolicy(message: TrustPolicyMessage | undefined): TrustPolicy {
  if (message === undefined) throw invalid("policy", "a trust policy", "nothing");
  const { trustedRoots, certificateAuthorities, publicKeys, signers } = message;
  const texts = [...trustedRoots, ...certificateAuthorities, ...publicKeys];
  if (texts.length === 0)
    throw invalid("policy", "at least one trusted root, certificate authority or public key", "none");
  checkCount("trusted_roots", trustedRoots.length);
  checkCount("certificate_authorities", certificateAuthorities.length);
  checkCount("public_keys", publicKeys.length);
  checkCount("signers", signers.length);
  checkBytes([...texts, ...signers.flatMap(({ subject, issuer }) => [subject, issuer])]);
  for (const text of texts) parseProse(text, mostBytes, "material");
  const policy: TrustPolicy = {
    material: { trustedRoots, certificateAuthorities, publicKeys },
    transparencyLogThreshold: parseThreshold(message.transparencyLogThreshold, "transparency_log_threshold"),
    timestampThreshold: parseThreshold(message.timestampThreshold, "timestamp_threshold"),
    signers: signers.map(({ subject, issuer }, index) => ({
      subject: parseProse(subject, longestPattern, `signers[${index}].subject`),
      issuer: parseProse(issuer, longestPattern, `signers[${index}].issuer`),
    })),
  };
  const open = policy.signers.findIndex(({ subject, issuer }) => isOpen(subject) && isOpen(issuer));
  if (open >= 0) throw invalid(`signers[${open}]`, "a subject or an issuer; for any signer give no signers", "neither");
  parseTrustPolicy(policy);
  return policy;
}

/** Whether the pattern lets any text through. */
function isOpen(pattern: string): boolean {
  return /^\**$/.test(pattern);
}

function checkCount(field: keyof typeof most, count: number): void {
  if (count > most[field]) throw invalid(field, `at most ${most[field]} entries`, String(count));
}

function checkBytes(texts: readonly string[]): void {
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes > mostBytes) throw invalid("policy", `at most ${mostBytes} bytes in all`, `${bytes} bytes`);
}

function parseThreshold(threshold: number, what: string): number {
  if (threshold >= 0 && threshold <= highestThreshold) return threshold;
  throw invalid(what, `0 to ${highestThreshold}`, String(threshold));
}

function invalid(what: string, expected: string, actual: string): DomainError {
  return new DomainError("REQUEST_INVALID", `${what} must be ${expected}; came ${actual}`, {
    metadata: { expected, actual },
  });
}
