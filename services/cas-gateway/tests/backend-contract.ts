import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Backend } from "../src/backends/backend.ts";
import { chunksOf, randomBlob, type TestBlob } from "./harness.ts";

export interface BackendUnderTest {
  /** Another instance on the same place for the organization's prefix. */
  open(prefix: string): Backend;
  /** What lies in the store below a prefix: keys, unfinished uploads and staging files included. */
  leftovers(prefix: string): Promise<string[]>;
  stop(): Promise<void>;
}

const sizes = [0, 1, 65_536, 1_048_577, 8_388_608, 8_388_609, 20_000_000];
const { signal } = new AbortController();

/** What every backend must do, whatever it stores in. */
export function backendContract(start: () => Promise<BackendUnderTest>): void {
  let store: BackendUnderTest;
  let backend: Backend;
  beforeAll(async () => {
    store = await start();
    backend = store.open("acme/");
  });
  afterAll(() => store.stop());

  const keyOf = ({ hex }: TestBlob) => `blobs/${hex.slice(0, 2)}/${hex.slice(2, 4)}/${hex}`;
  const put = (blob: TestBlob, source: AsyncIterable<Uint8Array> = chunksOf(blob.bytes, 300_000)) =>
    backend.write(keyOf(blob), blob, source, signal);
  async function get(blob: TestBlob, offset = 0, length?: number): Promise<Buffer | undefined> {
    const opened = await backend.read(keyOf(blob), { offset, length }, signal);
    if (opened === undefined) return undefined;
    const chunks: Buffer[] = [];
    for await (const chunk of opened.chunks) chunks.push(chunk);
    await opened.close();
    expect(opened.sizeBytes).toBe(blob.sizeBytes);
    return Buffer.concat(chunks);
  }

  test.each(sizes)("gives back %d bytes as they were written", async (size) => {
    const blob = randomBlob(size);
    expect(await backend.describe(keyOf(blob), signal)).toBeUndefined();
    await put(blob);
    const described = await backend.describe(keyOf(blob), signal);
    expect(described?.sizeBytes).toBe(size);
    expect(Math.abs((described?.storedAt.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
    expect((await get(blob))?.equals(blob.bytes)).toBe(true);
  });

  test("reads ranges", async () => {
    const blob = randomBlob(3_000_000);
    await put(blob);
    for (const [offset, length] of [
      [0, 1],
      [1, 1],
      [0, 3_000_000],
      [2_999_999, 1],
      [1_234_567, 1_000_000],
      [10, undefined],
      [2_000_000, 9_000_000],
    ] as const) {
      const end = length === undefined ? blob.sizeBytes : offset + length;
      expect((await get(blob, offset, length))?.equals(blob.bytes.subarray(offset, end))).toBe(true);
    }
  });

  test("has nothing where nothing was written", async () => {
    const blob = randomBlob(10);
    expect(await backend.describe(keyOf(blob), signal)).toBeUndefined();
    expect(await backend.read(keyOf(blob), { offset: 0, length: undefined }, signal)).toBeUndefined();
  });

  test("tells the sizes of many keys at once", async () => {
    const present = [randomBlob(10), randomBlob(0), randomBlob(5_000)];
    for (const blob of present) await put(blob);
    const crowd = Array.from({ length: 200 }, (_, i) => `blobs/${present[0]?.hex.slice(0, 2)}/00/${i}`);
    const keys = [...present.map(keyOf), ...crowd, keyOf(randomBlob(10))];
    const sizes = await backend.sizes(keys, signal);
    expect(keys.map((key) => sizes.get(key)).filter((size) => size !== undefined)).toEqual([10, 0, 5_000]);
    expect(await backend.sizes([], signal)).toEqual(new Map());
  });

  test("deletes, and deletes again", async () => {
    const blob = randomBlob(10);
    await put(blob);
    await backend.delete(keyOf(blob), signal);
    await backend.delete(keyOf(blob), signal);
    expect(await get(blob)).toBeUndefined();
  });

  test("keeps the organizations apart", async () => {
    const blob = randomBlob(10);
    await put(blob);
    expect(await store.open("globex/").describe(keyOf(blob), signal)).toBeUndefined();
  });

  describe.each([1_000, 10_000_000, 20_000_000])("a write of %d bytes that goes wrong", (size) => {
    const good = randomBlob(size);
    const wrong = Buffer.from(good.bytes);
    wrong.writeUInt8(wrong.readUInt8(size - 1) ^ 1, size - 1);
    async function* failing() {
      yield good.bytes.subarray(0, size / 2);
      throw new Error("the source failed");
    }
    async function* longer() {
      yield good.bytes;
      yield Buffer.from("x");
    }
    const cases: [string, () => AsyncIterable<Uint8Array>, string][] = [
      ["other bytes", () => chunksOf(wrong, 300_000), "DIGEST_MISMATCH"],
      ["too few bytes", () => chunksOf(good.bytes.subarray(0, size - 1), 300_000), "SIZE_MISMATCH"],
      ["no bytes", () => chunksOf(Buffer.alloc(0), 1), "SIZE_MISMATCH"],
      ["too many bytes", longer, "SIZE_MISMATCH"],
      ["a source that fails", failing, "the source failed"],
    ];
    test.each(cases)("leaves nothing: %s", async (_name, source, fault) => {
      const before = await store.leftovers("acme/");
      await expect(put(good, source())).rejects.toMatchObject(
        fault.includes(" ") ? { message: fault } : { code: fault },
      );
      expect(await get(good)).toBeUndefined();
      expect(await store.leftovers("acme/")).toEqual(before);
    });

    test("leaves nothing when it is broken off", async () => {
      const before = await store.leftovers("acme/");
      const breaking = new AbortController();
      async function* stalling() {
        yield good.bytes.subarray(0, size - 1);
        breaking.abort(new Error("broken off"));
        yield good.bytes.subarray(size - 1);
      }
      await expect(backend.write(keyOf(good), good, stalling(), breaking.signal)).rejects.toThrow("broken off");
      expect(await get(good)).toBeUndefined();
      expect(await store.leftovers("acme/")).toEqual(before);
    });
  });

  test.each([100_000, 12_000_000])(
    "two writers of one blob of %d bytes, one wrong: the right one wins",
    async (size) => {
      const blob = randomBlob(size);
      const wrong = Buffer.alloc(size);
      const results = await Promise.allSettled([
        put(blob),
        put(blob, chunksOf(wrong, 100_000)),
        put(blob, chunksOf(blob.bytes, 77_777)),
      ]);
      expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
      expect((await get(blob))?.equals(blob.bytes)).toBe(true);
    },
  );

  test("a read that is given up frees what it holds", async () => {
    const blob = randomBlob(20_000_000);
    await put(blob);
    for (let i = 0; i < 50; i++) {
      const opened = await backend.read(keyOf(blob), { offset: 0, length: undefined }, signal);
      for await (const _ of opened?.chunks ?? []) break;
      await opened?.close();
    }
    expect((await get(blob))?.equals(blob.bytes)).toBe(true);
  });

  test("calls end with the reason of their signal", async () => {
    const aborted = AbortSignal.abort(new Error("enough"));
    const blob = randomBlob(10);
    await expect(backend.describe(keyOf(blob), aborted)).rejects.toThrow("enough");
    await expect(backend.read(keyOf(blob), { offset: 0, length: undefined }, aborted)).rejects.toThrow("enough");
    await expect(backend.delete(keyOf(blob), aborted)).rejects.toThrow("enough");
  });
}
