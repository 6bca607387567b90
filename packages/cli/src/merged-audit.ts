import type { AuditEvent } from "@attestry/api/audit";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { CommandError } from "./errors.ts";
import { exitCodes } from "./exit-codes.ts";

/** What keeps events, and the one that comes next of each. */
export interface AuditSource {
  service: string;
  /** One page, newest first. */
  list(page: { pageSize: number; pageToken: string }): Promise<{ events: AuditEvent[]; nextPageToken: string }>;
}

export interface KeptEvent {
  service: string;
  event: AuditEvent;
}

/** How far a source was read: the page, and the least number of it that was shown. "end": all of it. */
type Position = { pageToken: string; shown?: string } | "end";

const largestPage = 200;

/**
 * The newest `limit` events of all sources together, and where to go on. A page of ours ends in the middle of pages of
 * theirs, so the token says which page to ask for again and what of it was shown: what is recorded meanwhile shifts nothing.
 */
export async function readMerged(
  sources: readonly AuditSource[],
  { limit, pageToken }: { limit: number; pageToken: string },
): Promise<{ events: KeptEvent[]; nextPageToken: string }> {
  const readers = decode(pageToken, sources.length).map((from, index) => new Reader(sources[index], from, limit));
  const events: KeptEvent[] = [];
  for (let heads = await Promise.all(readers.map((reader) => reader.head())); ; ) {
    const next = newest(heads);
    if (next === undefined) return { events, nextPageToken: "" };
    const reader = readers[next];
    const event = heads[next];
    if (events.length === limit || reader === undefined || event === undefined) break;
    events.push({ service: reader.service, event });
    reader.take();
    heads = heads.with(next, await reader.head());
  }
  return { events, nextPageToken: encode(readers.map((reader) => reader.position)) };
}

/** The index of the event that is newest; undefined: there is none left. */
function newest(heads: readonly (AuditEvent | undefined)[]): number | undefined {
  let found: number | undefined;
  for (const [index, head] of heads.entries()) {
    if (head !== undefined && (found === undefined || timeOf(head) > timeOf(heads[found]))) found = index;
  }
  return found;
}

function timeOf(event: AuditEvent | undefined): number {
  return event?.at === undefined ? 0 : timestampMs(event.at);
}

class Reader {
  readonly service: string;
  position: Position;
  readonly #source: AuditSource;
  readonly #pageSize: number;
  #page: AuditEvent[] = [];
  #nextPageToken: string | undefined;

  constructor(source: AuditSource | undefined, from: Position, limit: number) {
    if (source === undefined) throw new Error("each position has its source");
    this.#source = source;
    this.service = source.service;
    this.position = from;
    this.#pageSize = Math.min(largestPage, limit);
    if (from !== "end") this.#nextPageToken = from.pageToken;
  }

  /** The next event; undefined: there is none. */
  async head(): Promise<AuditEvent | undefined> {
    while (this.#page.length === 0 && this.position !== "end") {
      const pageToken = this.#nextPageToken;
      if (pageToken === undefined) {
        this.position = "end";
        break;
      }
      const { events, nextPageToken } = await this.#source.list({ pageSize: this.#pageSize, pageToken });
      const { shown } = this.position;
      this.#page = shown === undefined ? events : events.filter(({ number }) => number < BigInt(shown));
      this.position = { ...this.position, pageToken };
      this.#nextPageToken = nextPageToken === "" ? undefined : nextPageToken;
    }
    return this.#page[0];
  }

  /** Passes over the event of `head`. */
  take(): void {
    const event = this.#page.shift();
    if (event !== undefined && this.position !== "end")
      this.position = { pageToken: this.position.pageToken, shown: String(event.number) };
  }
}

function encode(positions: readonly Position[]): string {
  return Buffer.from(JSON.stringify(positions)).toString("base64url");
}

function decode(token: string, count: number): Position[] {
  if (token === "") return Array.from({ length: count }, () => ({ pageToken: "" }));
  const positions = parse(token);
  if (Array.isArray(positions) && positions.length === count && positions.every(isPosition)) return positions;
  const message = "--page-token must be the token that an earlier list gave, unchanged";
  throw new CommandError("PAGE_TOKEN_INVALID", message, { exitCode: exitCodes.usage });
}

function parse(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token, "base64url").toString());
  } catch {
    return undefined;
  }
}

function isPosition(value: unknown): value is Position {
  if (value === "end") return true;
  if (typeof value !== "object" || value === null || !("pageToken" in value)) return false;
  const shown = "shown" in value ? value.shown : undefined;
  return (
    typeof value.pageToken === "string" &&
    (shown === undefined || (typeof shown === "string" && /^\d{1,18}$/.test(shown)))
  );
}
