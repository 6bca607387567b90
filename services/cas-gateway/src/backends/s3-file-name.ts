import type { IncomingHttpHeaders } from "node:http";

const nameHeader = "x-amz-meta-attestry-name";
const encodedPattern = /^[A-Za-z0-9_-]+$/;

/**
 * What a client calls the file of a blob, as metadata of the object at the blob's key. In base64url, since headers are ASCII: of
 * the 2 KB of S3's metadata, the longest name takes 1,366 bytes and a reference less than 500.
 */
export function fileNameHeaders(fileName: string | undefined): Record<string, string> {
  return fileName === undefined ? {} : { [nameHeader]: Buffer.from(fileName).toString("base64url") };
}

export function fileNameOf(headers: IncomingHttpHeaders): string | undefined {
  const encoded = headers[nameHeader];
  if (typeof encoded !== "string" || !encodedPattern.test(encoded)) return undefined;
  return Buffer.from(encoded, "base64url").toString();
}
