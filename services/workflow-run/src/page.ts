import { decodePageToken, encodePageToken, type PageScope, pageSize } from "@attestry/service-kit";

export interface PageRequest {
  pageSize: number;
  pageToken: string;
}

/**
 * One page of a list whose rows are sorted by id, greatest first. `fetch` gets the id to stay below and how many rows
 * to return. Throws PAGE_SIZE_INVALID, PAGE_TOKEN_INVALID.
 */
export async function readPage<Row extends { id: string }>(
  request: PageRequest,
  scope: PageScope,
  fetch: (afterId: string | undefined, limit: number) => Promise<Row[]>,
): Promise<{ rows: Row[]; nextPageToken: string }> {
  const size = pageSize(request.pageSize);
  const found = await fetch(decodePageToken(request.pageToken, scope), size + 1);
  const rows = found.slice(0, size);
  const last = rows.at(-1);
  // One row more than was asked for tells whether there is another page.
  const nextPageToken = found.length > size && last !== undefined ? encodePageToken(scope, last.id) : "";
  return { rows, nextPageToken };
}
