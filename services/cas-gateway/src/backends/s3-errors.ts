import { DomainError } from "@attestry/service-kit";
import { backendFull, backendMisconfigured, backendUnavailable } from "./backend.ts";
import { codeOf } from "./error-code.ts";
import type { StoreCall } from "./s3-transport.ts";

const absentCodes = new Set(["NoSuchKey", "NotFound"]);
const fullCodes = new Set([
  "XMinioStorageFull",
  "QuotaExceeded",
  "XMinioAdminBucketQuotaExceeded",
  "InsufficientStorage",
]);
const rights = "give its credentials the right to read, write, list and delete there";
const credentials = "correct the access key and the secret key in its secret";
const bucket = "correct the bucket in its secret, or create the bucket";
const region = "correct the region and the endpoint in its secret";
const certificate = "correct the endpoint in its secret, or let this host trust its certificate";
/** Faults that stay until somebody acts, and what there is to do. */
const remedies = new Map([
  ["AccessDenied", rights],
  ["AllAccessDisabled", rights],
  ["AccountProblem", "ask the store's provider about the account"],
  ["NotSignedUp", "ask the store's provider about the account"],
  ["InvalidAccessKeyId", credentials],
  ["SignatureDoesNotMatch", credentials],
  ["InvalidSecurity", credentials],
  ["ExpiredToken", credentials],
  ["InvalidToken", credentials],
  ["NoSuchBucket", bucket],
  ["InvalidBucketName", bucket],
  ["AuthorizationHeaderMalformed", region],
  ["IllegalLocationConstraintException", region],
  ["InvalidRegion", region],
  ["PermanentRedirect", region],
  ["RequestTimeTooSkewed", "set the clocks of this host and of the store"],
  ["EntityTooLarge", "raise the store's bound of an object, or lower the backend's max_bytes"],
  ["KeyTooLongError", "shorten the backend's prefix"],
  ["XMinioInvalidObjectName", "change the backend's prefix"],
  ["XMinioParentIsObject", "change the backend's prefix: an object lies where it needs a folder"],
  ["MethodNotAllowed", "check that the endpoint in its secret is an S3 API"],
  ["NotImplemented", "check that the endpoint in its secret is an S3 API"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", certificate],
  ["SELF_SIGNED_CERT_IN_CHAIN", certificate],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", certificate],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", certificate],
  ["CERT_HAS_EXPIRED", certificate],
  ["ERR_TLS_CERT_ALTNAME_INVALID", certificate],
]);
const refusedStatuses = new Set([401, 403]);
const passingCodes = new Set([
  "ECONNRESET",
  "EPIPE",
  "ECONNREFUSED",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "SlowDown",
  "InternalError",
  "RequestTimeout",
]);
const passingStatuses = new Set([200, 408, 409, 429, 499, 500, 502, 503, 504, 520]);

/** Whether the error says that the object is not there. A bucket that is not there says nothing about objects. */
export function isAbsent(error: unknown, call: StoreCall): boolean {
  if (call.headerCode !== undefined && !absentCodes.has(call.headerCode)) return false;
  return absentCodes.has(codeOf(error) ?? "");
}

/**
 * Whether the same request may fare better when it is sent again. A fault after a 200 is one in the body, which
 * completing an upload may answer (S3 API, CompleteMultipartUpload).
 */
export function passes(error: unknown, call: StoreCall): boolean {
  return passingCodes.has(codeOf(error) ?? "") || (call.status !== undefined && passingStatuses.has(call.status));
}

/** What the caller is told: the store's error code, never an address, a bucket or a key. */
export function storeFault(error: unknown, call: StoreCall): unknown {
  if (call.signal.aborted) return call.signal.reason;
  if (error instanceof DomainError) return error;
  const code = call.headerCode ?? codeOf(error) ?? (call.status === undefined ? undefined : `HTTP ${call.status}`);
  if (call.status === 507 || (code !== undefined && fullCodes.has(code))) return backendFull(error);
  const remedy = remedies.get(code ?? "") ?? (refusedStatuses.has(call.status ?? 0) ? rights : undefined);
  if (remedy !== undefined)
    return backendMisconfigured(`the backend's object store answered ${code}: ${remedy}`, error);
  return backendUnavailable(`the backend's object store answered ${code ?? "nothing that is understood"}`, error);
}
