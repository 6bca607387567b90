import { expect, test } from "@jest/globals";
import { chunksOf, randomBlob } from "../blobs.ts";
import { keyOf, readWith, type Subject, signal, withWrongEnd } from "./subject.ts";

const sizes = [0, 1, 65_536, 1_048_577, 8_388_607, 8_388_608, 8_388_609, 20_000_000];

export function basics(subject: Subject): void {
  test.each(sizes)("gives back %d bytes as they were written", async (size) => {
    const blob = randomBlob(size);
    await subject.expectAbsent(blob);
    await subject.put(blob);
    await subject.expectStored(blob, subject.store.open("acme/"));
    const described = await subject.backend.describe(keyOf(blob), signal);
    expect(Math.abs((described?.storedAt.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  test.each([0, 100, 1_000_000, 9_000_000])(
    "says whether %d bytes were stored, or existed and stay as they are",
    async (size) => {
      const blob = randomBlob(size);
      const key = keyOf(blob);
      await subject.backend.delete(key, signal);
      expect(await subject.put(blob)).toBe("stored");
      const [first, before] = [await subject.backend.describe(key, signal), await subject.leftovers()];
      const outcome = await subject.put(blob);
      expect(["stored", "existed"]).toContain(outcome);
      if (outcome === "existed") {
        expect(await subject.backend.describe(key, signal)).toEqual(first);
        expect(await subject.leftovers()).toEqual(before);
      }
      await subject.expectStored(blob);
      if (size === 0) return;
      await subject.store.spoil("acme/", key, withWrongEnd(blob.bytes));
      expect(await subject.put(blob)).toBe("stored");
      await subject.expectStored(blob);
    },
  );

  test("keeps nothing but the blob", async () => {
    const backend = subject.store.open("tidy/");
    for (const size of [0, 100, 20_000_000]) {
      const blob = randomBlob(size);
      await backend.write(keyOf(blob), blob, chunksOf(blob.bytes, 1_000_000), { signal });
      await backend.delete(keyOf(blob), signal);
    }
    expect(await subject.store.leftovers("tidy/")).toEqual([]);
  });

  test.each([1, 7, 4_096, 65_537, 3_000_000])("takes chunks of %d bytes, and empty ones", async (chunk) => {
    const blob = randomBlob(Math.min(3_000_000, chunk * 2_000 + 1));
    async function* source() {
      for await (const piece of chunksOf(blob.bytes, chunk)) {
        yield piece;
        yield new Uint8Array(0);
      }
    }
    await subject.put(blob, source());
    await subject.expectStored(blob);
  });

  test("reads ranges", async () => {
    const blob = randomBlob(10_000_000);
    await subject.put(blob);
    for (const [offset, length] of [
      [0, 1],
      [1, 1],
      [0, 10_000_000],
      [9_999_999, 1],
      [1_234_567, 1_000_000],
      [8_388_600, 16],
      [10, undefined],
      [9_000_000, 9_000_000],
    ] as const) {
      const end = length === undefined ? blob.sizeBytes : offset + length;
      expect((await subject.get(blob, offset, length))?.equals(blob.bytes.subarray(offset, end))).toBe(true);
    }
  });

  test("has nothing where nothing was written", async () => {
    await subject.expectAbsent(randomBlob(10));
    await subject.expectAbsent(randomBlob(10), subject.store.open("never/"));
  });

  test("tells the sizes of many blobs at once", async () => {
    const present = [randomBlob(10), randomBlob(0), randomBlob(5_000), randomBlob(9_000_000)];
    for (const blob of present) await subject.put(blob);
    const crowd = Array.from({ length: 200 }, (_, i) => ({
      key: `blobs/${present[0]?.hex.slice(0, 2)}/00/${i}`,
      sizeBytes: 10,
    }));
    const named = present.map((blob) => ({ key: keyOf(blob), sizeBytes: blob.sizeBytes }));
    const absent = randomBlob(10);
    const sizes = await subject.backend.sizes(
      [...named, ...crowd, { key: keyOf(absent), sizeBytes: absent.sizeBytes }],
      signal,
    );
    expect(sizes).toEqual(new Map(named.map(({ key, sizeBytes }) => [key, sizeBytes])));
    expect(await subject.backend.sizes([], signal)).toEqual(new Map());
  });

  test.each([10, 9_000_000])("deletes %d bytes, and deletes again", async (size) => {
    const blob = randomBlob(size);
    await subject.put(blob);
    await subject.backend.delete(keyOf(blob), signal);
    await subject.backend.delete(keyOf(blob), signal);
    await subject.expectAbsent(blob);
    await subject.put(blob);
    await subject.expectStored(blob);
  });

  test("keeps the organizations apart", async () => {
    const blob = randomBlob(10);
    await subject.put(blob);
    const other = subject.store.open("globex/");
    await subject.expectAbsent(blob, other);
    await other.delete(keyOf(blob), signal);
    await subject.expectStored(blob);
  });

  test("a read that is given up frees what it holds", async () => {
    const blob = randomBlob(20_000_000);
    await subject.put(blob);
    for (let i = 0; i < 50; i++) {
      const opened = await subject.backend.read(keyOf(blob), { offset: 0, length: undefined }, signal);
      for await (const _ of opened?.chunks ?? []) break;
      await opened?.close();
      await opened?.close();
    }
    await subject.expectStored(blob);
  });

  test("a read that is under way ends with the reason of its signal", async () => {
    const blob = randomBlob(20_000_000);
    await subject.put(blob);
    const reading = new AbortController();
    const opened = await subject.backend.read(keyOf(blob), { offset: 0, length: undefined }, reading.signal);
    async function readOn() {
      for await (const _ of opened?.chunks ?? []) reading.abort(new Error("enough"));
    }
    await expect(readOn()).rejects.toThrow("enough");
    await opened?.close();
  });

  test("calls end with the reason of their signal", async () => {
    const aborted = AbortSignal.abort(new Error("enough"));
    const blob = randomBlob(10);
    const key = keyOf(blob);
    const { backend } = subject;
    async function list() {
      for await (const _ of backend.list("blobs/", "", aborted));
    }
    const options = { signal: aborted };
    for (const call of [
      () => backend.describe(key, aborted),
      () => backend.sizes([{ key, sizeBytes: 10 }], aborted),
      () => backend.read(key, { offset: 0, length: undefined }, aborted),
      () => backend.write(key, blob, chunksOf(blob.bytes, 10), options),
      () => backend.committed(key, blob, crypto.randomUUID(), aborted),
      () => backend.delete(key, aborted),
      () => backend.setAside(key, blob, aborted),
      () => backend.sweep(new Date(0), aborted),
      list,
    ])
      await expect(call()).rejects.toThrow("enough");
  });

  test("reads of many blobs at once do not mix", async () => {
    const blobs = Array.from({ length: 8 }, (_, i) => randomBlob(1 + i * 300_000));
    await Promise.all(blobs.map((blob) => subject.put(blob)));
    const read = await Promise.all([...blobs, ...blobs].map((blob) => readWith(subject.backend, blob)));
    expect(read.map((bytes, i) => bytes?.equals(blobs[i % 8]?.bytes ?? Buffer.of()))).toEqual(Array(16).fill(true));
  });
}
