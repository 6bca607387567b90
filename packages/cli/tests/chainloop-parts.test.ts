import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, expect, jest, test } from "@jest/globals";
import { SourceBucket } from "../src/chainloop/bucket.ts";
import { ChainloopDatabase } from "../src/chainloop/chainloop-database.ts";
import { materialsOf } from "../src/chainloop/materials.ts";
import { ProgressFile } from "../src/chainloop/progress-file.ts";
import { chainloopBundle, sha256 } from "./chainloop-bundle.ts";
import { createChainloop } from "./chainloop-source.ts";

jest.setTimeout(60_000);

let folder = "";
const { XDG_STATE_HOME } = process.env;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-import-"));
  process.env.XDG_STATE_HOME = folder;
});

afterEach(() => rm(path.join(folder, "attestry"), { recursive: true, force: true }));

afterAll(async () => {
  if (XDG_STATE_HOME === undefined) delete process.env.XDG_STATE_HOME;
  else process.env.XDG_STATE_HOME = XDG_STATE_HOME;
  await rm(folder, { recursive: true });
});

test("materials are what the recorded attestation says is in storage, each once", async () => {
  const recorded = (name: string) => readFile(path.resolve(import.meta.dirname, "fixtures/chainloop", `${name}.json`));
  expect(materialsOf(await recorded("cas-materials"))).toEqual([
    { fileName: "blob.bin", digest: sha256(Buffer.alloc(1_200_000, "attestry fixture line\n")) },
    { fileName: "rel.txt", digest: sha256(Buffer.from("some release artifact\n")) },
  ]);
  expect(materialsOf(await recorded("inline-materials"))).toEqual([]);
  expect(materialsOf(await recorded("no-materials"))).toEqual([]);
});

test("the evaluations of policies are one more; what names no digest is none", () => {
  const evaluations = { name: "policy-evaluations", digest: { sha256: "ab".repeat(32) } };
  expect(materialsOf(chainloopBundle([], { policyEvaluationsRef: evaluations }))).toEqual([
    { fileName: "policy-evaluations", digest: `sha256:${"ab".repeat(32)}` },
  ]);
  const stored = { annotations: { "chainloop.material.cas": true } };
  const strange = [stored, { ...stored, digest: { sha256: "../../etc/passwd" } }, null, 7, "text"];
  expect(materialsOf(chainloopBundle([], { materials: strange }))).toEqual([]);
  expect(materialsOf(chainloopBundle([], { materials: { a: 1 } }))).toEqual([]);
});

test.each([
  ["plain name.txt", "plain name.txt"],
  ["=?UTF-8?B?w7xuw68=?=", undefined],
  [Buffer.from("ünï").toString("latin1"), undefined],
  [undefined, undefined],
])("an object whose metadata have the file name %j has %j", async (metadata, fileName) => {
  const server = http.createServer((_request, answer) => {
    answer.writeHead(200, { "content-length": 7, ...(metadata && { "x-amz-meta-filename": metadata }) }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const bucket = new SourceBucket({
    ...{ endpoint, region: "us-east-1", bucket: "chainloop", prefix: "", pathStyle: true, ca: undefined },
    ...{ accessKey: "key", secretKey: "secret" },
  });
  try {
    expect(await bucket.head("sha256:ab", new AbortController().signal)).toEqual({ sizeBytes: 7, fileName });
  } finally {
    bucket.close();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

test("pages show each run once, also of one and the same microsecond", async () => {
  const source = await createChainloop("2026");
  const { signal } = new AbortController();
  try {
    await source.addRun({ digest: "sha256:first" });
    await source.query(
      `insert into workflow_runs (id, created_at, attestation_digest, version_id, workflow_id)
       select gen_random_uuid(), '2025-03-01T00:00:00.000001Z'::timestamptz + (n / 700) * interval '1 microsecond', 'sha256:' || n, r.version_id, r.workflow_id
       from generate_series(1, 1600) n, workflow_runs r`,
    );
    const database = await ChainloopDatabase.open(source.url, signal);
    try {
      const [organization] = await database.organizations();
      const id = organization?.id ?? "";
      const pages = await all(database.runs(id, undefined));
      expect(pages.map(({ length }) => length)).toEqual([500, 500, 500, 101]);
      expect(new Set(pages.flat().map(({ digest }) => digest)).size).toBe(1_601);
      const after = pages[1]?.at(-1);
      expect(await database.countRuns(id, after)).toBe(601);
      expect((await all(database.runs(id, after))).flat()).toEqual(pages.slice(2).flat());
    } finally {
      await database.close();
    }
  } finally {
    await source.drop();
  }
});

const run = (minute: number, year = 2025) => ({
  id: `0000${minute}`,
  createdAt: new Date(Date.UTC(year, 0, 1, 0, minute)).toISOString(),
});

test("an import goes on behind its last position, with what is open", async () => {
  const file = await ProgressFile.open("from", "to", false);
  expect([file.position, file.open, file.done]).toEqual([undefined, [], 0]);
  await file.advance({ last: run(1), open: ["a"], done: 9, legacy: 1 });
  await file.advance({ last: run(2), open: ["b"], done: 4, legacy: 0 });
  await file.close(["a"], new Set(["b"]));
  const next = await ProgressFile.open("from", "to", false);
  expect([next.position, next.open, next.done, next.legacy]).toEqual([run(2), ["b"], 14, 1]);
  expect((await ProgressFile.open("from", "elsewhere", false)).position).toBeUndefined();
  expect((await ProgressFile.open("from", "to", true)).position).toBeUndefined();
  await writeFile(file.path, '{"position":');
  expect((await ProgressFile.open("from", "to", false)).position).toBeUndefined();
});

test("the position does not pass what it cannot remember", async () => {
  const file = await ProgressFile.open("from", "to", false);
  await file.advance({ last: run(1), open: [], done: 1, legacy: 0 });
  // More open runs than the file has room for.
  await file.advance({ last: run(2), open: Array.from({ length: 10_001 }, String), done: 0, legacy: 0 });
  await file.advance({ last: run(3), open: [], done: 1, legacy: 0 });
  expect((await ProgressFile.open("from", "to", false)).position).toEqual(run(1));

  const today = await ProgressFile.open("from", "to", false);
  await today.advance({ last: { id: "young", createdAt: new Date().toISOString() }, open: [], done: 1, legacy: 0 });
  await today.advance({ last: run(4), open: [], done: 1, legacy: 0 });
  expect((await ProgressFile.open("from", "to", false)).position).toEqual(run(1));
});
