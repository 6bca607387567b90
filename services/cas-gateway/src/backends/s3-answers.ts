import type { IncomingHttpHeaders } from "node:http";

/**
 * Copying an object and completing an upload may answer 200 and then say that it failed (S3 API, CopyObject and
 * CompleteMultipartUpload). Throws what the store said, unless the answer holds the element that tells of success.
 */
export function refuseError(answer: string, success: "CopyObjectResult" | "CompleteMultipartUploadResult"): void {
  if (!answer.includes("<Error>") && answer.includes(success)) return;
  const code = /<Code>([^<]*)<\/Code>/.exec(answer)?.[1] ?? "InternalError";
  throw Object.assign(new Error(`the store's answer has no ${success}`), { code });
}

/**
 * Whether the same bytes, written once more, could have the same entity tag: not with a key of a key management, and not
 * in parts, whose number such a tag ends in (S3 API, Object).
 */
export function isTagOfBytes(headers: IncomingHttpHeaders): boolean {
  const encryption = headers["x-amz-server-side-encryption"];
  const hasKey = typeof encryption === "string" && encryption.startsWith("aws:kms");
  return !hasKey && !/-[0-9]+"?$/.test(headers.etag ?? "");
}
