import { Code } from "@connectrpc/connect";

/**
 * Every reason that an error of Attestry can have, and the Connect code that carries it. The set is closed: a
 * program may decide by the reason, so one is never renamed.
 */
export const reasons = {
  // Requests
  DIGEST_INVALID: Code.InvalidArgument,
  NAME_INVALID: Code.InvalidArgument,
  PAGE_TOKEN_INVALID: Code.InvalidArgument,
  PAGE_SIZE_INVALID: Code.InvalidArgument,
  REQUEST_INVALID: Code.InvalidArgument,
  REQUEST_MALFORMED: Code.InvalidArgument,
  RUN_ID_INVALID: Code.InvalidArgument,
  // Not RESOURCE_EXHAUSTED, as the framework has it: clients try that again, and this does not pass.
  MESSAGE_TOO_LARGE: Code.InvalidArgument,
  METHOD_UNKNOWN: Code.Unimplemented,
  SERVICE_UNKNOWN: Code.NotFound,
  DEADLINE_EXCEEDED: Code.DeadlineExceeded,
  CANCELLED: Code.Canceled,

  // Who calls
  TOKEN_MISSING: Code.Unauthenticated,
  TOKEN_MALFORMED: Code.Unauthenticated,
  TOKEN_EXPIRED: Code.Unauthenticated,
  TOKEN_AUDIENCE_WRONG: Code.Unauthenticated,
  TOKEN_SIGNATURE_INVALID: Code.Unauthenticated,
  TOKEN_REVOKED: Code.Unauthenticated,
  ROLE_INSUFFICIENT: Code.PermissionDenied,
  REVOCATIONS_UNKNOWN: Code.Unavailable,

  // Organizations, tokens, backends, workflows, contracts, versions of projects
  ORGANIZATION_EXISTS: Code.AlreadyExists,
  ORGANIZATION_NOT_FOUND: Code.NotFound,
  WORKFLOW_EXISTS: Code.AlreadyExists,
  WORKFLOW_NOT_FOUND: Code.NotFound,
  CONTRACT_EXISTS: Code.AlreadyExists,
  CONTRACT_NOT_FOUND: Code.NotFound,
  CONTRACT_REVISION_NOT_FOUND: Code.NotFound,
  CONTRACT_INVALID: Code.InvalidArgument,
  PROJECT_NOT_FOUND: Code.NotFound,
  PROJECT_VERSION_NOT_FOUND: Code.NotFound,
  PROJECT_VERSION_RELEASED: Code.FailedPrecondition,
  TOKEN_EXISTS: Code.AlreadyExists,
  TOKEN_NOT_FOUND: Code.NotFound,
  ROLE_INVALID: Code.InvalidArgument,
  LIFETIME_INVALID: Code.InvalidArgument,
  RETENTION_INVALID: Code.InvalidArgument,
  FEDERATION_RULE_EXISTS: Code.AlreadyExists,
  FEDERATION_RULE_NOT_FOUND: Code.NotFound,
  FEDERATION_RULE_LIMIT: Code.FailedPrecondition,
  FEDERATION_REFUSED: Code.PermissionDenied,
  ISSUER_INVALID: Code.InvalidArgument,
  ISSUER_UNAVAILABLE: Code.Unavailable,
  TRUST_NOT_FOUND: Code.NotFound,
  TRUST_NOT_SET: Code.FailedPrecondition,
  SIGNING_REQUEST_INVALID: Code.InvalidArgument,
  SIGNING_NOT_SET_UP: Code.FailedPrecondition,
  BACKEND_EXISTS: Code.AlreadyExists,
  BACKEND_NOT_FOUND: Code.NotFound,
  BACKEND_IN_USE: Code.FailedPrecondition,
  BACKEND_IS_DEFAULT: Code.FailedPrecondition,
  BACKEND_INLINE: Code.FailedPrecondition,
  BACKEND_INVALID: Code.Unavailable,
  BACKEND_LIMIT: Code.FailedPrecondition,
  SECRET_REF_INVALID: Code.InvalidArgument,
  PROVIDER_INVALID: Code.InvalidArgument,
  PREFIX_INVALID: Code.InvalidArgument,
  MAX_BYTES_INVALID: Code.InvalidArgument,
  FILE_NAME_INVALID: Code.InvalidArgument,

  // Runs
  RUN_NOT_FOUND: Code.NotFound,
  RUN_FINISHED: Code.FailedPrecondition,
  RUN_CANCELLED: Code.FailedPrecondition,
  RUN_FAILED: Code.FailedPrecondition,
  RUN_EXPIRED: Code.FailedPrecondition,
  RUN_HAS_OTHER_ATTESTATION: Code.AlreadyExists,
  IDEMPOTENCY_KEY_REUSED: Code.AlreadyExists,
  CRAFTING_STATE_NOT_FOUND: Code.NotFound,
  CRAFTING_STATE_CHANGED: Code.Aborted,
  CRAFTING_STATE_TOO_LARGE: Code.InvalidArgument,

  // Bundles
  BUNDLE_EMPTY: Code.InvalidArgument,
  BUNDLE_TOO_LARGE: Code.InvalidArgument,
  BUNDLE_TOO_COMPLEX: Code.InvalidArgument,
  BUNDLE_NOT_UTF8: Code.InvalidArgument,
  BUNDLE_NOT_JSON: Code.InvalidArgument,
  BUNDLE_COMPRESSED: Code.InvalidArgument,
  BUNDLE_MALFORMED: Code.InvalidArgument,
  BUNDLE_WITHOUT_CONTENT: Code.InvalidArgument,
  MESSAGE_SIGNATURE: Code.InvalidArgument,
  PAYLOAD_NOT_BASE64: Code.InvalidArgument,
  PAYLOAD_TYPE_UNSUPPORTED: Code.InvalidArgument,
  SIGNATURE_MISSING: Code.InvalidArgument,
  STATEMENT_MALFORMED: Code.InvalidArgument,
  SUBJECT_MISSING: Code.InvalidArgument,

  // Verification
  SIGNATURE_INVALID: Code.InvalidArgument,
  SIGNER_UNTRUSTED: Code.InvalidArgument,
  TRANSPARENCY_LOG_THRESHOLD: Code.InvalidArgument,
  TIMESTAMP_THRESHOLD: Code.InvalidArgument,
  VERIFICATION_MATERIAL_INVALID: Code.InvalidArgument,
  TRUST_MATERIAL_INVALID: Code.InvalidArgument,
  VERIFIER_CRASHED: Code.Unavailable,

  // Attestations
  ATTESTATION_NOT_FOUND: Code.NotFound,
  ATTESTATION_EXPIRED: Code.FailedPrecondition,
  DEPENDENCY_NOT_FOUND: Code.InvalidArgument,
  BUNDLE_NEEDS_DOWNLOAD: Code.ResourceExhausted,
  BUNDLE_MISSING: Code.DataLoss,
  BUNDLE_CORRUPT: Code.DataLoss,

  // Blobs
  RESOURCE_NAME_INVALID: Code.InvalidArgument,
  DIGEST_MISMATCH: Code.InvalidArgument,
  SIZE_MISMATCH: Code.InvalidArgument,
  WRITE_OFFSET_INVALID: Code.InvalidArgument,
  WRITE_UNFINISHED: Code.InvalidArgument,
  COMPRESSED_INVALID: Code.InvalidArgument,
  BLOB_TOO_LARGE: Code.InvalidArgument,
  DIGEST_NOT_ALLOWED: Code.PermissionDenied,
  BLOB_NOT_FOUND: Code.NotFound,
  BLOB_CORRUPT: Code.DataLoss,
  READ_OFFSET_OUT_OF_RANGE: Code.OutOfRange,
  PRECONDITION_FAILED: Code.FailedPrecondition,
  DELETE_TOO_LATE: Code.FailedPrecondition,
  DELETES_OFF: Code.FailedPrecondition,
  SECRET_INVALID: Code.FailedPrecondition,
  BACKEND_MISCONFIGURED: Code.FailedPrecondition,
  BACKEND_FULL: Code.ResourceExhausted,

  // What passes
  BACKEND_UNAVAILABLE: Code.Unavailable,
  CAS_UNAVAILABLE: Code.Unavailable,
  DATABASE_UNAVAILABLE: Code.Unavailable,
  PEER_UNAVAILABLE: Code.Unavailable,
  GC_UNDER_WAY: Code.Unavailable,
  STORE_BUSY: Code.ResourceExhausted,
  RATE_LIMITED: Code.ResourceExhausted,
  SHUTTING_DOWN: Code.Unavailable,

  // A bug, or what the framework says without more
  INTERNAL: Code.Internal,
  UNKNOWN: Code.Unknown,
} as const satisfies Record<string, Code>;

export type Reason = keyof typeof reasons;
