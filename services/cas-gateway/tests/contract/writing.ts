import { describe, expect, test } from "@jest/globals";
import { chunksOf, randomBlob, type TestBlob } from "../blobs.ts";
import { failingAfter, keyOf, type Subject, signal, withWrongEnd } from "./subject.ts";

export function writing(subject: Subject): void {
  const writeAborted = (blob: TestBlob, source: AsyncIterable<Uint8Array>, signal: AbortSignal) =>
    subject.backend.write(keyOf(blob), blob, source, { signal });

  describe.each([1_000, 10_000_000, 20_000_000])("of %d bytes", (size) => {
    const good = randomBlob(size);
    async function* longer() {
      yield good.bytes;
      yield Buffer.from("x");
    }
    const cases: [string, () => AsyncIterable<Uint8Array>, string][] = [
      ["other bytes", () => chunksOf(withWrongEnd(good.bytes), 300_000), "DIGEST_MISMATCH"],
      ["too few bytes", () => chunksOf(good.bytes.subarray(0, size - 1), 300_000), "SIZE_MISMATCH"],
      ["no bytes", () => chunksOf(Buffer.alloc(0), 1), "SIZE_MISMATCH"],
      ["too many bytes", longer, "SIZE_MISMATCH"],
      ["a source that fails", () => failingAfter(good.bytes.subarray(0, size / 2)), "the source failed"],
      ["a source that fails at its end", () => failingAfter(good.bytes), "the source failed"],
    ];
    test.each(cases)("leaves nothing: %s", async (_name, source, fault) => {
      const before = await subject.leftovers();
      await expect(subject.put(good, source())).rejects.toMatchObject(
        fault.includes(" ") ? { message: fault } : { code: fault },
      );
      await subject.expectAbsent(good);
      expect(await subject.leftovers()).toEqual(before);
    });

    test.each([0, 0.3, 0.6, 1])("leaves nothing when it is broken off after a part of %d", async (part) => {
      const before = await subject.leftovers();
      const breaking = new AbortController();
      async function* stalling() {
        const end = Math.floor(size * part);
        yield* chunksOf(good.bytes.subarray(0, end), 1_000_000);
        breaking.abort(new Error("broken off"));
        yield* chunksOf(good.bytes.subarray(end), 1_000_000);
      }
      await expect(writeAborted(good, stalling(), breaking.signal)).rejects.toThrow("broken off");
      await subject.expectAbsent(good);
      expect(await subject.leftovers()).toEqual(before);
    });

    test("ends when it is broken off while its source says nothing", async () => {
      const before = await subject.leftovers();
      const breaking = new AbortController();
      async function* silent() {
        yield good.bytes.subarray(0, size - 1);
        setTimeout(() => breaking.abort(new Error("broken off")), 20);
        await new Promise(() => undefined);
      }
      await expect(writeAborted(good, silent(), breaking.signal)).rejects.toThrow("broken off");
      await subject.expectAbsent(good);
      expect(await subject.leftovers()).toEqual(before);
    });

    test("is seen by nobody before it ends", async () => {
      const blob = randomBlob(size);
      async function* looking() {
        for await (const chunk of chunksOf(blob.bytes, 4_000_000)) {
          await subject.expectAbsent(blob);
          yield chunk;
        }
        await subject.expectAbsent(blob);
      }
      await subject.put(blob, looking());
      await subject.expectStored(blob);
    });
  });

  test("an empty blob takes no bytes", async () => {
    const empty = randomBlob(0);
    await subject.backend.delete(keyOf(empty), signal);
    await expect(subject.put(empty, chunksOf(Buffer.from("x"), 1))).rejects.toMatchObject({ code: "SIZE_MISMATCH" });
    await subject.expectAbsent(empty);
  });

  test("aborted at any time, it is either stored or absent, and may be done again", async () => {
    for (let i = 0; i < 30; i++) {
      const blob = randomBlob(i % 3 === 0 ? 9_000_000 : 5_000);
      const breaking = new AbortController();
      const writing = writeAborted(blob, chunksOf(blob.bytes, 1_000_000), breaking.signal);
      const timer = setTimeout(() => breaking.abort(new Error("broken off")), i);
      const outcome = await writing.then(
        () => "stored",
        (error: Error) => error.message,
      );
      clearTimeout(timer);
      expect(["stored", "broken off"]).toContain(outcome);
      // What was broken off at the last moment may have become visible all the same: then it is right.
      const read = await subject.get(blob);
      expect(read?.equals(blob.bytes)).toBe(outcome === "stored" ? true : read && true);
      await subject.put(blob);
      await subject.expectStored(blob);
    }
  });

  describe.each([100_000, 12_000_000])("two writers of one blob of %d bytes, one wrong", (size) => {
    test("at once: the right ones win", async () => {
      const blob = randomBlob(size);
      const results = await Promise.allSettled([
        subject.put(blob),
        subject.put(blob, chunksOf(Buffer.alloc(size), 100_000)),
        subject.put(blob, chunksOf(blob.bytes, 77_777)),
      ]);
      expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
      await subject.expectStored(blob);
    });

    test("the wrong one begins first and ends last", async () => {
      const blob = randomBlob(size);
      async function* around() {
        const wrong = withWrongEnd(blob.bytes);
        yield wrong.subarray(0, size / 2);
        await subject.put(blob);
        yield wrong.subarray(size / 2);
      }
      await expect(subject.put(blob, around())).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
      await subject.expectStored(blob);
    });

    test("the right one begins first and ends last", async () => {
      const blob = randomBlob(size);
      async function* around() {
        yield blob.bytes.subarray(0, size / 2);
        const wrong = subject.put(blob, chunksOf(withWrongEnd(blob.bytes), 1_000_000));
        await expect(wrong).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
        yield blob.bytes.subarray(size / 2);
      }
      await subject.put(blob, around());
      await subject.expectStored(blob);
    });

    test("a wrong one after the right one changes nothing", async () => {
      const blob = randomBlob(size);
      await subject.put(blob);
      const before = await subject.leftovers();
      const wrong = subject.put(blob, chunksOf(withWrongEnd(blob.bytes), 1_000_000));
      await expect(wrong).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
      await subject.put(blob);
      await subject.expectStored(blob);
      expect(await subject.leftovers()).toEqual(before);
    });
  });
}
