import { DomainError } from "@attestry/service-kit";
import { backendFull, backendUnavailable } from "./backend.ts";
import { codeOf } from "./error-code.ts";
import type { StoreCall } from "./s3-transport.ts";

const absentCodes = new Set(["NoSuchKey", "NotFound"]);
const fullCodes = new Set([
  "XMinioStorageFull",
  "QuotaExceeded",
  "XMinioAdminBucketQuotaExceeded",
  "InsufficientStorage",
]);
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
  return backendUnavailable(`the backend's object store answered ${code ?? "nothing that is understood"}`, error);
}
