import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { describeWith } from "@attestry/dev-env";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { checksumHeader, checksumOf } from "../src/backends/s3-checksum.ts";
import { collect } from "../src/backends/s3-parts.ts";
import { LiveRecord, newDataKey } from "../src/backends/s3-records.ts";
import { S3Requests } from "../src/backends/s3-requests.ts";
import { chunksOf, randomBlob, type TestBlob } from "./blobs.ts";
import { failingAfter, keyOf, oneDayMs, readWith, resumable, signal } from "./contract/subject.ts";
import { type FaultyStore, firstOf, startFaultyStore } from "./faulty-store.ts";
import { type Bucket, startBucket } from "./s3-bucket.ts";

const mebibyte = 1024 * 1024;
const later = () => new Date(Date.now() + 60_000);

describeWith(["minio"], "what attempts at one upload do to each other in a bucket", () => {
  let bucket: Bucket;
  let faulty: FaultyStore;
  let prefix: string;
  beforeAll(async () => {
    bucket = await startBucket();
  });
  beforeEach(async () => {
    prefix = `${randomUUID()}/`;
    faulty = await startFaultyStore(bucket.options.endpoint.href);
  });
  afterEach(() => faulty.close());
  afterAll(() => bucket.stop());

  const hindered = () => bucket.backend({ prefix, endpoint: faulty.endpoint, requestTimeoutMs: 3_000 });
  const inData = async () => (await bucket.leftovers(prefix)).filter((name) => name.includes("/data/"));
  const chunks = (blob: TestBlob) => chunksOf(blob.bytes, mebibyte);

  test("a sweep leaves what a sibling keeps whose prefix begins as the records do", async () => {
    const [mine, sibling] = [bucket.backend({ prefix }), bucket.backend({ prefix: `${prefix}uploads/prod/` })];
    const [small, large] = [randomBlob(1_000), randomBlob(9 * mebibyte)];
    for (const blob of [small, large]) await sibling.write(keyOf(blob), blob, chunks(blob), { signal });
    await bucket.spoil(`${prefix}uploads/`, `blobs/a/b/c/${small.hex}`, small.bytes);
    const before = await bucket.leftovers(prefix);
    expect(await mine.sweep(later(), signal)).toBe(0);
    expect(await bucket.leftovers(prefix)).toEqual(before);
    expect((await readWith(sibling, large))?.equals(large.bytes)).toBe(true);
  });

  test("one that begins anew takes no finished data from the one that publishes it", async () => {
    const [blob, id] = [randomBlob(9 * mebibyte), randomUUID()];
    const anew = bucket.backend({ prefix });
    let beginning: Promise<unknown> | undefined;
    // The data is finished, and the reference on its way: now another attempt begins, and ends before it arrives.
    const publishing = new RegExp(`^PUT /[^/]+/${prefix}blobs/`);
    const held = Promise.withResolvers<void>();
    faulty.fate = (line) => {
      if (!publishing.test(line) || beginning !== undefined) return "pass";
      beginning = anew
        .write(keyOf(blob), blob, failingAfter(blob.bytes.subarray(0, 100)), { signal, resumable: resumable(id) })
        .catch((error: unknown) => error)
        .finally(held.resolve);
      // Sent again some 100 ms later.
      return "reset";
    };
    const first = hindered();
    expect(await first.write(keyOf(blob), blob, chunks(blob), { signal, resumable: resumable(id) })).toBe("stored");
    await held.promise;
    expect((await readWith(first, blob))?.equals(blob.bytes)).toBe(true);
  });

  test("two that begin at once do not let go of each other", async () => {
    const [blob, id] = [randomBlob(9 * mebibyte), randomUUID()];
    const begun = Promise.withResolvers<void>();
    async function* held() {
      yield blob.bytes.subarray(0, mebibyte);
      await begun.promise;
      yield blob.bytes.subarray(mebibyte);
    }
    const attempts = [1, 2].map(() =>
      bucket.backend({ prefix }).write(keyOf(blob), blob, held(), { signal, resumable: resumable(id) }),
    );
    await sleep(300);
    begun.resolve();
    const ends = await Promise.allSettled(attempts);
    expect(ends.map((end) => String(end.status === "fulfilled" ? end.value : end.reason)).sort()).toEqual([
      "existed",
      "stored",
    ]);
    expect((await readWith(bucket.backend({ prefix }), blob))?.equals(blob.bytes)).toBe(true);
    expect(await inData()).toHaveLength(1);
    expect((await bucket.leftovers(prefix)).filter((name) => name.includes("/uploads/"))).toEqual([]);
  });

  test("what is near the end of the retention is the sweep's: it is not gone on with", async () => {
    const [blob, id] = [randomBlob(20_000_000), randomUUID()];
    const backend = bucket.backend({ prefix, uploadRetentionMs: 4_000 });
    const broken = backend.write(keyOf(blob), blob, failingAfter(blob.bytes.subarray(0, 17_000_000)), {
      ...{ signal, resumable: resumable(id) },
    });
    await expect(broken).rejects.toThrow("the source failed");
    const committed = () => backend.committed(keyOf(blob), blob, id, signal);
    expect(await committed()).toBeGreaterThan(0);
    // The store tells times in whole seconds.
    await sleep(3_500);
    expect(await committed()).toBe(0);
  });

  test("the answer to the beginning of an upload is lost: nothing is left of the other that it began", async () => {
    const blob = randomBlob(9 * mebibyte);
    faulty.fate = firstOf(1, /^POST .*\?uploads/, "lose");
    expect(await hindered().write(keyOf(blob), blob, chunks(blob), { signal })).toBe("stored");
    expect((await bucket.leftovers(prefix)).filter((name) => /unfinished|\/uploads\//.test(name))).toEqual([]);
  });

  test("parts of an upload that another version of the gateway began are kept, whatever their size", async () => {
    const [blob, id] = [randomBlob(20_000_000), randomUUID()];
    const requests = new S3Requests({ ...bucket.options, prefix });
    const dataKey = newDataKey(keyOf(blob));
    const record = new LiveRecord(requests, `uploads/${keyOf(blob)}/${blob.hex}-20000000/${id}/`, dataKey, oneDayMs);
    await record.put(signal);
    await record.stop();
    const { id: uploadId } = await requests.createUpload(dataKey, signal);
    for (const [number, from] of [0, 6_000_000].entries()) {
      const query = `partNumber=${number + 1}&uploadId=${encodeURIComponent(uploadId)}`;
      const body = blob.bytes.subarray(from, from + 6_000_000);
      const headers = checksumHeader(checksumOf(body));
      await requests.subresource({ method: "PUT", key: dataKey, query, body, headers }, signal);
    }
    const backend = bucket.backend({ prefix });
    expect(await backend.committed(keyOf(blob), blob, id, signal)).toBe(12_000_000);
    const rest = chunksOf(blob.bytes.subarray(12_000_000), mebibyte);
    await backend.write(keyOf(blob), blob, rest, { signal, resumable: resumable(id, 12_000_000) });
    expect((await readWith(backend, blob))?.equals(blob.bytes)).toBe(true);
  });

  test("sixty large uploads at a time fill no more than 256 MiB of parts, and all come to their end", async () => {
    const backend = bucket.backend({ prefix, requestTimeoutMs: 30_000 });
    const blob = randomBlob(9 * mebibyte);
    const goOn = Promise.withResolvers<void>();
    let filling = 0;
    async function* source() {
      yield blob.bytes.subarray(0, mebibyte);
      filling++;
      await goOn.promise;
      yield* chunksOf(blob.bytes.subarray(mebibyte), mebibyte);
    }
    const writing = Array.from({ length: 60 }, (_, i) => backend.write(`blobs/${i}`, blob, source(), { signal }));
    await sleep(500);
    const most = filling;
    goOn.resolve();
    expect(await Promise.all(writing)).toEqual(new Array(60).fill("stored"));
    expect(most).toBe(32);
    // Whoever gives up waiting holds up nobody.
    const given = backend.write("blobs/given-up", blob, source(), { signal: AbortSignal.timeout(1) });
    await expect(given).rejects.toMatchObject({ name: "TimeoutError" });
    expect(await backend.write("blobs/last", blob, source(), { signal })).toBe("stored");
  }, 60_000);

  test("deleting what becomes a large blob meanwhile leaves no data", async () => {
    const blob = randomBlob(9 * mebibyte);
    await bucket.backend({ prefix }).write(keyOf(blob), blob, chunks(blob), { signal });
    // It was not there yet when the store was asked for it.
    faulty.fate = firstOf(1, /^HEAD/, { status: 404, body: "" });
    await hindered().delete(keyOf(blob), signal);
    expect(await bucket.leftovers(prefix)).toEqual([]);
  });
});

describe("small parts of the S3 backend", () => {
  test("a record is shown again no more often than each second, and no later than a timer can", async () => {
    for (const retentionMs of [4, 2 ** 34]) {
      let puts = 0;
      const requests = { put: async () => puts++ } as unknown as S3Requests;
      const record = new LiveRecord(requests, "uploads/x/", "data/x/y", retentionMs);
      await record.put(signal);
      await sleep(100);
      await record.stop();
      expect(puts).toBe(1);
    }
  });

  test("what came byte by byte is copied at once, not kept as a view for each", async () => {
    const bytes = Buffer.from(randomBlob(5_000).bytes);
    const one = Buffer.alloc(1);
    async function* single() {
      for (const byte of bytes) {
        one.writeUInt8(byte);
        yield one;
      }
    }
    expect((await collect(single(), bytes.byteLength)).equals(bytes)).toBe(true);
    expect((await collect(chunksOf(bytes, 5_000), bytes.byteLength)).buffer).toBe(bytes.buffer);
  });
});
