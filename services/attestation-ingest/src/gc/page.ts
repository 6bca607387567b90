import { parseDigest } from "@attestry/bundle";
import { DomainError, isUuid, type PageRequest, pageSize } from "@attestry/service-kit";
import type { BlobPlace, UnusedBlob, UnusedBlobs } from "../db/unused-blobs.ts";

/**
 * A page of what may be unused. Pages are cut by backend and digest, so that a blob which fails does not hold up those
 * behind it. Throws PAGE_SIZE_INVALID, PAGE_TOKEN_INVALID.
 */
export async function pageOfUnused(
  unusedBlobs: UnusedBlobs,
  organizationId: string,
  request: PageRequest,
): Promise<{ blobs: UnusedBlob[]; nextPageToken: string }> {
  const size = pageSize(request.pageSize);
  const found = await unusedBlobs.list(organizationId, decode(request.pageToken), size + 1);
  const blobs = found.slice(0, size);
  const last = blobs.at(-1);
  const nextPageToken = found.length > size && last !== undefined ? `${last.backendId}.${last.digest}` : "";
  return { blobs, nextPageToken };
}

function decode(token: string): Pick<BlobPlace, "backendId" | "digest"> | undefined {
  if (token === "") return undefined;
  const [backendId = "", digest = "", ...rest] = token.split(".");
  if (isUuid(backendId) && /^sha256:[0-9a-f]{64}$/.test(digest) && rest.length === 0) {
    return { backendId, digest: parseDigest(digest) };
  }
  throw new DomainError("PAGE_TOKEN_INVALID", "page_token must be the next_page_token of the page before, unchanged", {
    metadata: { expected: "a next_page_token", actual: token.slice(0, 80) },
  });
}
