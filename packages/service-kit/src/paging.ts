import { createHash } from "node:crypto";
import { DomainError } from "./errors/domain-error.ts";
import { isUuid } from "./ids.ts";

const defaultPageSize = 50;
const largestPageSize = 200;

/** What a list asks for beside its page: the kind of list and its filters. A cursor of other filters is refused. */
export interface PageScope {
  kind: string;
  filters: Record<string, string | number | boolean | undefined>;
  /** What ids are: UUIDs, or numbers of 1 to 18 digits. */
  ids?: "uuids" | "numbers";
}

/** Rows a page may have: 1 to 200, 50 for 0. Throws PAGE_SIZE_INVALID. */
export function pageSize(asked: number): number {
  if (asked === 0) return defaultPageSize;
  if (Number.isInteger(asked) && asked > 0 && asked <= largestPageSize) return asked;
  throw new DomainError(
    "PAGE_SIZE_INVALID",
    `page_size must be 1 to ${largestPageSize}, or 0 for ${defaultPageSize}; came ${asked}`,
    {
      metadata: { expected: `0..${largestPageSize}`, actual: String(asked) },
    },
  );
}

/**
 * An opaque cursor after the row with this id. Lists are cut and sorted by that one unique column, so a row that
 * exists throughout is seen exactly once, whatever is added meanwhile.
 */
export function encodePageToken(scope: PageScope, lastId: string): string {
  return Buffer.from(`1.${fingerprint(scope)}.${lastId}`).toString("base64url");
}

/** The id in a cursor, or undefined for the first page. Throws PAGE_TOKEN_INVALID for garbage or other filters. */
export function decodePageToken(token: string, scope: PageScope): string | undefined {
  if (token === "") return undefined;
  const [version, print, lastId, ...rest] = Buffer.from(token.slice(0, 200), "base64url").toString("latin1").split(".");
  if (version !== "1" || lastId === undefined || rest.length > 0 || !isId(lastId, scope)) {
    throw new DomainError(
      "PAGE_TOKEN_INVALID",
      "page_token must be the next_page_token of the page before, unchanged",
      {
        metadata: { expected: "a next_page_token", actual: token.slice(0, 80) },
      },
    );
  }
  if (print !== fingerprint(scope)) {
    throw new DomainError(
      "PAGE_TOKEN_INVALID",
      "page_token is of a list with other filters; start again without it, or keep the filters",
    );
  }
  return lastId;
}

function isId(text: string, { ids = "uuids" }: PageScope): boolean {
  return ids === "uuids" ? isUuid(text) : /^\d{1,18}$/.test(text);
}

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

function fingerprint({ kind, filters }: PageScope): string {
  const entries = Object.entries(filters)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([kind, entries]))
    .digest("base64url")
    .slice(0, 16);
}
