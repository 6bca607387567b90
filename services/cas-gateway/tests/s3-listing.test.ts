import { createHash } from "node:crypto";
import { describeWith } from "@attestry/dev-env";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { concurrently } from "../src/blobs/concurrently.ts";
import { type FaultyStore, startFaultyStore } from "./faulty-store.ts";
import { type Bucket, startBucket } from "./s3-bucket.ts";

const { signal } = new AbortController();
const stored = 5_000;
/** In one folder, in the order of their keys. */
const keys = Array.from({ length: stored }, (_, i) => createHash("sha256").update(String(i)).digest("hex"))
  .sort()
  .map((hex) => `blobs/ab/${hex}`);

describeWith(["minio"], "sizes of many blobs in a folder of many objects", () => {
  let bucket: Bucket;
  let faulty: FaultyStore;
  beforeAll(async () => {
    bucket = await startBucket();
    faulty = await startFaultyStore(bucket.options.endpoint.href);
    await concurrently([...keys.entries()], 32, ([i, key]) => bucket.spoil("acme/", key, Buffer.alloc(i % 7)));
  }, 60_000);
  afterAll(async () => {
    await faulty.close();
    await bucket.stop();
  });
  beforeEach(() => {
    faulty.seen = [];
  });

  const absent = (key: string) => `${key.slice(0, -1)}g`;
  async function expectSizes(asked: readonly string[]): Promise<{ pages: number; lookups: number }> {
    const backend = bucket.backend({ endpoint: faulty.endpoint, prefix: "acme/" });
    const blobs = asked.map((key) => ({ key, sizeBytes: 1 }));
    const expected = asked.filter((key) => keys.includes(key)).map((key) => [key, keys.indexOf(key) % 7] as const);
    const found = await backend.sizes(blobs, signal);
    expect(found).toEqual(new Map(expected));
    const pages = faulty.seen.filter(({ line }) => line.includes("list-type=2")).length;
    return { pages, lookups: faulty.seen.length - pages };
  }

  test("all of them: its pages are listed, and nothing else", async () => {
    expect(await expectSizes(keys.toReversed())).toEqual({ pages: 5, lookups: 0 });
  });

  test("some that lie together: only where they are", async () => {
    const asked = keys.slice(3_100, 3_300);
    expect(await expectSizes([...asked, ...asked.map(absent)])).toEqual({ pages: 1, lookups: 0 });
  });

  test("two heaps far apart: what lies between is left out", async () => {
    expect(await expectSizes([...keys.slice(0, 100), ...keys.slice(-100)])).toEqual({ pages: 2, lookups: 0 });
  });

  test("where a page tells of few: the others are asked for one by one", async () => {
    const asked = [...keys.filter((_, i) => i < 4_900 && i % 500 === 0), ...keys.slice(-60)];
    expect(await expectSizes(asked)).toEqual({ pages: 1, lookups: asked.length - 2 });
  });
});
