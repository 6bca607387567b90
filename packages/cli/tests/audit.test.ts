import { readFile } from "node:fs/promises";
import path from "node:path";
import { AuditEventSchema, AuditService } from "@attestry/api/audit";
import { AuditService as IngestAuditService } from "@attestry/api/ingest";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterEach, expect, jest, test } from "@jest/globals";
import { readMerged } from "../src/merged-audit.ts";
import { type FakeServer, startFakeServer } from "./fake-server.ts";
import { attestry } from "./run-cli.ts";

jest.setTimeout(60_000);

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

interface Kept {
  number: number;
  /** Seconds since 1970. */
  at: number;
  action?: string;
}

/** As AuditLog lists: below the number in the cursor, newest first. */
function listOf(kept: Kept[], sizes: number[] = []) {
  return ({ action, pageSize, pageToken }: { action: string; pageSize: number; pageToken: string }) => {
    sizes.push(pageSize);
    const below = pageToken === "" ? Number.POSITIVE_INFINITY : Number(pageToken);
    const rest = kept
      .filter((event) => event.number < below && (action === "" || event.action === action))
      .sort((a, b) => b.number - a.number);
    const page = rest.slice(0, pageSize);
    return {
      events: page.map(({ number, at, action = "thing.change" }) => ({
        ...{ number: BigInt(number), at: timestampFromMs(at * 1_000), actor: "token ci (1)", action },
        ...{ resource: `thing ${number}`, detail: { b: "2", a: `x\n${number}` } },
      })),
      nextPageToken: rest.length > pageSize ? String(page.at(-1)?.number) : "",
    };
  };
}

async function serveAudit(ofRun: Kept[], ofIngest: Kept[]) {
  const sizes: number[] = [];
  server = await startFakeServer((router) => {
    router.service(AuditService, { list: listOf(ofRun, sizes) });
    router.service(IngestAuditService, { list: listOf(ofIngest, sizes) });
  });
  const { url } = server;
  const audit = (...args: string[]) => attestry(["--addr", url, "--token", "t", "audit", ...args]);
  const page = async (...args: string[]) => {
    const { stdout, stderr, code } = await audit("-o", "json", ...args);
    if (code !== 0) throw new Error(stderr);
    const answer = JSON.parse(stdout) as { events: { service: string; number: number }[]; nextPageToken: string };
    return { ...answer, ids: answer.events.map(({ service, number }) => `${service[0]}${number}`) };
  };
  return { audit, page, sizes };
}

const ofRun = [1, 2, 3, 4, 5].map((number) => ({ number, at: number * 10 }));
const ofIngest = [1, 2, 3, 4, 5, 6].map((number) => ({ number: number * 100, at: number * 7 }));
const merged = ["w5", "a600", "w4", "a500", "w3", "a400", "a300", "w2", "a200", "w1", "a100"];

/** A page of the two lists, without a process of its own. */
async function readPage(lists: ReturnType<typeof listOf>[], limit: number, pageToken = "") {
  const sources = lists.map((list, index) => ({
    service: index === 0 ? "workflow-run" : "attestation-ingest",
    list: async (page: { pageSize: number; pageToken: string }) => {
      const { events, nextPageToken } = list({ action: "", ...page });
      return { events: events.map((event) => create(AuditEventSchema, event)), nextPageToken };
    },
  }));
  const { events, nextPageToken } = await readMerged(sources, { limit, pageToken });
  return { ids: events.map(({ service, event }) => `${service[0]}${event.number}`), nextPageToken };
}

/** All pages from there on; no more than there are events. */
async function readPages(lists: ReturnType<typeof listOf>[], limit: number, from = ""): Promise<string[][]> {
  const pages: string[][] = [];
  let token = from;
  do {
    const { ids, nextPageToken } = await readPage(lists, limit, token);
    pages.push(ids);
    token = nextPageToken;
  } while (token !== "" && pages.length < merged.length);
  return pages;
}

test("both services' events come as one list, newest first", async () => {
  const { page } = await serveAudit(ofRun, ofIngest);
  const first = await page("--limit", "8");
  const second = await page("--page-token", first.nextPageToken);
  expect(first.ids).toEqual(merged.slice(0, 8));
  expect(second).toMatchObject({ ids: merged.slice(8), nextPageToken: "" });
});

test.each([1, 2, 4, 5, 11, 50])("the same list in pages of %i", async (limit) => {
  const pages = await readPages([listOf(ofRun), listOf(ofIngest)], limit);
  expect(pages.flat()).toEqual(merged);
  expect(pages.slice(0, -1).every(({ length }) => length === limit)).toBe(true);
});

test("what is recorded between two pages shifts nothing", async () => {
  const run = [...ofRun];
  const first = await readPage([listOf(run), listOf(ofIngest)], 3);
  run.push(...[6, 7, 8, 9, 10, 11].map((number) => ({ number, at: number * 10 })));
  for (const limit of [2, 50]) {
    const pages = await readPages([listOf(run), listOf(ofIngest)], limit, first.nextPageToken);
    expect([...first.ids, ...pages.flat()]).toEqual(merged);
  }
});

test("one action, and one service that has nothing", async () => {
  const { page, audit, sizes } = await serveAudit([{ number: 1, at: 1, action: "organization.update" }], []);
  expect((await page("--action", "organization.update", "--limit", "300")).ids).toEqual(["w1"]);
  expect(sizes).toEqual([200, 200]);
  expect((await audit("--action", "blob.keep")).stdout).toBe("no events\n");
  const unknown = await audit("--action", "org.update");
  const told = await readFile(path.join(import.meta.dirname, "../../../docs/retention.md"), "utf8");
  const documented = [...told.matchAll(/^\|(?: `[a-z-]+\.[a-z]+`,?)+ \|/gm)].flatMap(([cell]) =>
    cell.match(/[a-z-]+\.[a-z]+/g),
  );
  const choices = /Allowed choices are (.*)\.$/m.exec(unknown.stderr)?.[1]?.split(", ");
  expect(new Set(choices)).toEqual(new Set(documented));
  expect(unknown.code).toBe(2);
  const { stdout } = await audit();
  expect(stdout).toMatch(/^TIME +ACTOR +ACTION +RESOURCE +DETAIL$/m);
  expect(stdout).toMatch(/^1970-01-01T00:00:01Z +token ci \(1\) +organization\.update +thing 1 +a=x 1 b=2$/m);
});

test("a page token that is none is wrong usage", async () => {
  const lists = [listOf(ofRun), listOf(ofIngest)];
  for (const text of [
    "[1,2]",
    '["end"]',
    '[{},"end"]',
    '[{"pageToken":1},"end"]',
    '[{"pageToken":"","shown":"x"},"end"]',
  ]) {
    const token = Buffer.from(text).toString("base64url");
    await expect(readPage(lists, 5, token)).rejects.toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
  }
  const { audit } = await serveAudit(ofRun, ofIngest);
  const { code, stderr } = await audit("--page-token", "x");
  expect(stderr).toContain("(PAGE_TOKEN_INVALID)");
  expect(code).toBe(2);
});
