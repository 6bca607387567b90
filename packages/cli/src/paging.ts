import type { CallOptions } from "@connectrpc/connect";
import type { Command } from "commander";
import { positiveInteger } from "./arguments.ts";
import type { Context } from "./context.ts";

const largestPage = 200;

export interface PageOptions {
  limit: number;
  pageToken?: string;
}

/** Adds the options of a list that comes in pages. */
export function addPageOptions(command: Command): Command {
  return command
    .option("--limit <n>", "at most this many", positiveInteger, 50)
    .option("--page-token <token>", "go on after an earlier list, with the same filters");
}

/** Fetches pages until there are `limit` items, or no more. The token is empty when that was all. */
export async function fetchPages<P extends { nextPageToken: string }, T>(
  context: Context,
  options: PageOptions,
  fetch: (page: { pageSize: number; pageToken: string }, call: CallOptions) => Promise<P>,
  itemsOf: (page: P) => T[],
): Promise<{ items: T[]; nextPageToken: string }> {
  const items: T[] = [];
  let pageToken = options.pageToken ?? "";
  do {
    const pageSize = Math.min(largestPage, options.limit - items.length);
    const page = await context.caller.repeatable((call) => fetch({ pageSize, pageToken }, call));
    items.push(...itemsOf(page));
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && items.length < options.limit);
  return { items, nextPageToken: pageToken };
}

/** Tells a person that there is more; JSON has the token in the answer. */
export async function noteMore(context: Context, nextPageToken: string): Promise<void> {
  if (nextPageToken !== "") await context.note(`more: --page-token ${nextPageToken}`);
}
