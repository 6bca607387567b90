export type { ChainloopPredicate } from "./chainloop-predicate.ts";
export { type Digest, digestBytes, digestFromBytes, digestHex, digestOf, parseDigest } from "./digest.ts";
export type { Envelope, Signature } from "./envelope.ts";
export { BUNDLE_ERROR_CODES, BundleError, type BundleErrorCode, type BundleErrorOptions } from "./error.ts";
export { readJson } from "./json-text.ts";
export { type BundleLimits, DEFAULT_LIMITS } from "./limits.ts";
export { type ParsedBundle, parseBundle } from "./parse-bundle.ts";
export { matchesPattern } from "./pattern.ts";
export type { PolicyStatus, PolicySummary } from "./policy-summary.ts";
export { parseStatement, type Statement, type StatementType, type Subject, subjectDigests } from "./statement.ts";
export { MAX_KEY_CHARACTERS, subjectKey } from "./subject-key.ts";
export { type BundleSummary, firstSubjects, SHOWN_BYTES, summarize } from "./summary.ts";
export { checkSignature, checkSignatureIfFast, type SignatureCheck } from "./verify/check-signature.ts";
export {
  type ParsedTrustPolicy,
  parseTrustPolicy,
  type TrustMaterial,
  type TrustPolicy,
} from "./verify/trust-policy.ts";
export { type TrustedSigner, verifyTrusted } from "./verify/verify-trusted.ts";
