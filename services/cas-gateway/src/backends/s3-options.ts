/** Encryption by the store: with its own key, or with the named key of its key management. */
export type S3Encryption = "AES256" | { kms: string };

/** S3 API, Object Lock: COMPLIANCE is lifted by nobody before its time, GOVERNANCE by whoever has the right to. */
export type LockMode = "COMPLIANCE" | "GOVERNANCE";

export interface S3Options {
  endpoint: URL;
  region: string;
  bucket: string;
  accessKey: string;
  secretKey: string;
  /** The bucket in the path rather than in the host's name. */
  pathStyle: boolean;
  /** Certificates in PEM, trusted in the place of those that Node trusts. */
  ca?: string | undefined;
  sse?: S3Encryption | undefined;
  /** How blobs are held that an organization wants kept, where the bucket has Object Lock. */
  objectLockMode: LockMode;
  /** Before every key, with a slash at its end. */
  prefix: string;
  /** Upper bound of one request, answer included, but of a read only up to its response's head; in milliseconds. A part's upload is one request. */
  requestTimeoutMs: number;
  /** How long an upload that nobody goes on with is kept, in milliseconds: one under way shows itself more often. */
  uploadRetentionMs: number;
}

/** For each request that makes an object (S3 API, "Protecting data with server-side encryption"). */
export function encryptionHeaders({ sse }: Pick<S3Options, "sse">): Record<string, string> {
  if (sse === undefined) return {};
  if (sse === "AES256") return { "x-amz-server-side-encryption": "AES256" };
  return {
    "x-amz-server-side-encryption": "aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id": sse.kms,
  };
}
