import type { Digest } from "../digest.ts";
import type { BundleErrorCode } from "../error.ts";
import type { BundleSummary } from "../summary.ts";
import type { SignatureCheck } from "../verify/check-signature.ts";
import type { TrustPolicy } from "../verify/trust-policy.ts";
import type { TrustedSigner } from "../verify/verify-trusted.ts";

export type VerifyTask =
  | { check: "none" | "signature" }
  | {
      check: "trusted";
      /** Names this very policy for good. */
      policyKey: string;
      policy: TrustPolicy;
      receivedAt: Date;
    };

/** What each check finds. */
export type Verification = { none: undefined; signature: SignatureCheck; trusted: TrustedSigner };

export type VerifyResult<Check extends keyof Verification> = {
  digest: Digest;
  /** Payload, verification material and most of the statement stay in the thread. */
  summary: BundleSummary;
  verification: Verification[Check];
};

/** What a thread is sent. */
export type Message = {
  bytes: Uint8Array<ArrayBuffer>;
  /** In shared memory, one element; not 0 once the thread has begun with it. */
  begun: Int32Array;
  /** Without the policy, which a thread mostly has already. */
  task:
    | { check: "none" | "signature" }
    | { check: "trusted"; policyKey: string; policy?: TrustPolicy; receivedAt: Date };
};

/** What a thread answers. Errors go as plain data, for a thread's error loses its class on the way. */
export type Answer =
  | { found: VerifyResult<keyof Verification> }
  | { refused: { code: BundleErrorCode; message: string; metadata: Record<string, string> } }
  /** A bug. */
  | { failed: unknown }
  /** The thread does not have the policy: the bytes come back, to be sent with it. */
  | { policyMissing: Uint8Array<ArrayBuffer> };
