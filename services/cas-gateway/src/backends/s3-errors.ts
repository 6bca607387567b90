import { DomainError } from "@attestry/service-kit";
import { backendFull, backendMisconfigured, backendUnavailable } from "./backend.ts";
import { codeOf } from "./error-code.ts";
import type { StoreCall } from "./s3-transport.ts";

const absentCodes = new Set(["NoSuchKey", "NotFound"]);
const unfinishedAbsentCodes = new Set(["NoSuchUpload"]);
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
const encryption = "correct sse in its secret, or make the key that it names";
const certificate = "give the certificate authority of the store as ca in its secret, or correct the endpoint there";
const endpoint = "correct the endpoint in its secret";
const tls = "check that the port of the endpoint in its secret is one of https, or give the endpoint as http";
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
  ["NotImplemented", "check that the endpoint in its secret is an S3 API, and that it can do what sse there asks for"],
  ["InvalidEncryptionAlgorithmError", encryption],
  ["kms:KeyNotFound", encryption],
  ["KMS.NotFoundException", encryption],
  ["KMS.DisabledException", encryption],
]);
/** What TLS answers for a certificate that it does not trust (codes of Node and OpenSSL), besides those that begin with CERT_. */
const certificateCodes = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "HOSTNAME_MISMATCH",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "PATH_LENGTH_EXCEEDED",
]);
const certificatePattern = /^CERT_/;
/** There is no common TLS, or none at all. */
const tlsPattern = /^(ERR_SSL_|ERR_TLS_|EPROTO$)/;
const refusedStatuses = new Set([401, 403]);
/** Nothing came of the request: the store is not there, or not well. */
const outageCodes = new Set([
  "ECONNRESET",
  "EPIPE",
  "ECONNREFUSED",
  "ECONNABORTED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "UND_ERR_SOCKET",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
  "SlowDown",
]);
const outageStatuses = new Set([429, 500, 502, 503, 504, 520]);
/** The store is there, and the same request may fare better: also where the bytes did not arrive as they were sent. */
const passingCodes = new Set([
  "InternalError",
  "RequestTimeout",
  "OperationAborted",
  "ConditionalRequestConflict",
  "BadDigest",
  "IncompleteBody",
  "XAmzContentSHA256Mismatch",
  "XAmzContentChecksumMismatch",
]);
const passingStatuses = new Set([200, 408, 409, 499]);
/** Codes as S3 and its kin have them: what else a store says is not passed on. */
const codePattern = /^[\w.:-]{1,100}$/;

/** A request to the store that went wrong; `storeFault` makes of it what the caller is told. */
export class StoreFault extends Error {
  override readonly name = "StoreFault";
  readonly call: StoreCall;
  readonly code: string | undefined;

  constructor(cause: unknown, call: StoreCall) {
    super("a request to the object store failed", { cause });
    this.call = call;
    const code = call.headerCode ?? codeOf(cause);
    this.code = codePattern.test(code ?? "") ? code : undefined;
  }

  /** The object is not there. A bucket that is not there says nothing about objects. */
  get isAbsent(): boolean {
    return absentCodes.has(this.code ?? "");
  }

  /** The unfinished upload is not there. */
  get isUploadAbsent(): boolean {
    return unfinishedAbsentCodes.has(this.code ?? "");
  }

  /** What `If-Match` or `If-None-Match` asked for is not so. */
  get isConditionUnmet(): boolean {
    return this.call.status === 412;
  }

  get isRangeUnmet(): boolean {
    return this.call.status === 416;
  }

  /** The store may not know one of the request's headers: what it calls that, or whether it says so at all, differs. */
  get isRefusal(): boolean {
    const { code = "" } = this;
    if (this.call.status === 501 || code === "NotImplemented") return true;
    return this.call.status === 400 && !passingCodes.has(code) && !remedies.has(code) && !fullCodes.has(code);
  }

  get isOutage(): boolean {
    if (this.call.signal.aborted) return isTimeout(this.call.signal.reason);
    return outageCodes.has(this.code ?? "") || outageStatuses.has(this.call.status ?? 0);
  }

  /**
   * The same request may fare better when it is sent again. A fault after a 200 is one in the body, which completing an
   * upload may answer (S3 API, CompleteMultipartUpload).
   */
  get isPassing(): boolean {
    if (this.call.signal.aborted) return false;
    return this.isOutage || passingCodes.has(this.code ?? "") || passingStatuses.has(this.call.status ?? 0);
  }
}

/** What the caller is told: the store's error code, never an address, a bucket or a key; where it cannot be spoken to its host. */
export function storeFault(fault: unknown, host: string): unknown {
  if (!(fault instanceof StoreFault)) return fault;
  const { call, cause } = fault;
  if (call.signal.aborted) return call.signal.reason;
  if (cause instanceof DomainError) return cause;
  const code = fault.code ?? (call.status === undefined ? undefined : `HTTP ${call.status}`);
  if (call.status === 507 || (code !== undefined && fullCodes.has(code))) return backendFull(cause);
  if (certificateCodes.has(code ?? "") || certificatePattern.test(code ?? ""))
    return backendMisconfigured(`TLS does not trust the certificate of ${host} (${code}): ${certificate}`, cause);
  if (tlsPattern.test(code ?? "")) return backendMisconfigured(`there is no TLS with ${host} (${code}): ${tls}`, cause);
  if (code === "ENOTFOUND") return backendMisconfigured(`there is no host ${host} (${code}): ${endpoint}`, cause);
  const remedy = remedies.get(code ?? "") ?? (refusedStatuses.has(call.status ?? 0) ? rights : undefined);
  if (remedy !== undefined) return backendMisconfigured(`the object store answered ${code}: ${remedy}`, cause);
  return backendUnavailable(`the object store answered ${code ?? "nothing that is understood"}`, cause);
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof DomainError && reason.code === "BACKEND_UNAVAILABLE";
}
