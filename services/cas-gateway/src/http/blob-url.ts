import { parseDigest } from "../blobs/blob-ref.ts";
import { parseInstance } from "../blobs/reapi.ts";

export const blobsPrefix = "/v1/blobs/";

/** What a URL says: `/v1/blobs/sha256:<hex>[?instance=NAME][&token=TOKEN]`. */
export interface BlobUrl {
  hex: string;
  /** Names a backend of the caller; undefined: the caller's first, or for a read any. */
  instance: string | undefined;
  /** Of a link. */
  token: string | undefined;
}

/** Throws DIGEST_INVALID or RESOURCE_NAME_INVALID. Parameters that are not known are left alone. */
export function parseBlobUrl(url: string): BlobUrl {
  const [path, query] = splitOnce(url, "?");
  const parameters = new URLSearchParams(query);
  // The colon may be escaped: RFC 3986, section 2.2.
  const digest = path.slice(blobsPrefix.length).replace(/^sha256%3a/i, "sha256:");
  return {
    hex: parseDigest(digest),
    instance: parseInstance(parameters.get("instance") ?? ""),
    token: parameters.get("token") ?? undefined,
  };
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}
