import { expect, test } from "@jest/globals";
import { chunksOf, randomBlob, type TestBlob } from "../blobs.ts";
import { failingAfter, keyOf, type Subject, signal, withWrongEnd } from "./subject.ts";

const mebibyte = 1024 * 1024;

export function unsized(subject: Subject): void {
  const write = (blob: TestBlob, source: AsyncIterable<Uint8Array> = chunksOf(blob.bytes, 300_000)) =>
    subject.backend.write(keyOf(blob), { hex: blob.hex, sizeBytes: undefined }, source, { signal });

  test.each([0, 1, 65_536, 8 * mebibyte - 1, 8 * mebibyte, 8 * mebibyte + 1, 20_000_000])(
    "stores %d bytes, and nothing besides",
    async (size) => {
      const before = await subject.leftovers();
      const blob = randomBlob(size);
      expect(await write(blob)).toBe("stored");
      await subject.expectStored(blob, subject.store.open("acme/"));
      await subject.backend.delete(keyOf(blob), signal);
      expect(await subject.leftovers()).toEqual(before);
    },
  );

  test.each([1, 7, 65_537, 4 * mebibyte, 20_000_000])("takes chunks of %d bytes, and empty ones", async (chunk) => {
    const blob = randomBlob(Math.min(20_000_000, chunk * 2_000 + 1));
    async function* source() {
      yield new Uint8Array(0);
      for await (const piece of chunksOf(blob.bytes, chunk)) {
        yield piece;
        yield new Uint8Array(0);
      }
    }
    await write(blob, source());
    await subject.expectStored(blob);
  });

  test.each([0, 100, 8 * mebibyte, 20_000_000])("%d bytes that are there already stay as they are", async (size) => {
    const blob = randomBlob(size);
    await subject.put(blob);
    expect(["stored", "existed"]).toContain(await write(blob));
    await subject.expectStored(blob);
  });

  test.each([100, 8 * mebibyte, 20_000_000])("%d right bytes take the place of wrong ones", async (size) => {
    const blob = randomBlob(size);
    await subject.put(blob);
    await subject.store.spoil("acme/", keyOf(blob), withWrongEnd(blob.bytes));
    expect(await write(blob)).toBe("stored");
    await subject.expectStored(blob);
  });

  test.each([100, 8 * mebibyte, 20_000_000])("%d wrong bytes are refused and leave nothing", async (size) => {
    const before = await subject.leftovers();
    const blob = randomBlob(size);
    const wrong = chunksOf(withWrongEnd(blob.bytes), 300_000);
    await expect(write(blob, wrong)).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
    await expect(write(blob, chunksOf(blob.bytes.subarray(1), 300_000))).rejects.toMatchObject({
      code: "DIGEST_MISMATCH",
    });
    await subject.expectAbsent(blob);
    expect(await subject.leftovers()).toEqual(before);
  });

  test.each([1, 100, 8 * mebibyte, 20_000_000])("a source that fails after %d bytes leaves nothing", async (size) => {
    const before = await subject.leftovers();
    const blob = randomBlob(size);
    await expect(write(blob, failingAfter(blob.bytes))).rejects.toThrow("the source failed");
    await subject.expectAbsent(blob);
    expect(await subject.leftovers()).toEqual(before);
  });

  test("a write that is given up ends with the reason, and leaves nothing", async () => {
    const before = await subject.leftovers();
    const blob = randomBlob(20_000_000);
    const giving = new AbortController();
    async function* silent() {
      yield* chunksOf(blob.bytes.subarray(0, 17_000_000), mebibyte);
      giving.abort(new Error("enough"));
      await new Promise(() => undefined);
    }
    const query = { hex: blob.hex, sizeBytes: undefined };
    const writing = subject.backend.write(keyOf(blob), query, silent(), { signal: giving.signal });
    await expect(writing).rejects.toThrow("enough");
    await subject.expectAbsent(blob);
    expect(await subject.leftovers()).toEqual(before);
  });
}
