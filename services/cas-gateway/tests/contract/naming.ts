import { expect, test } from "@jest/globals";
import { chunksOf, randomBlob, type TestBlob } from "../blobs.ts";
import { keyOf, type Subject, signal, withWrongEnd } from "./subject.ts";

const small = 100;
const large = 9_000_000;
const texts = ["rel.txt", "a b\tc", " ", "ünï/📦 .txt", "\u202e\u0000\n", "%2F..", "語".repeat(341)];

export function naming(subject: Subject): void {
  const nameOf = (blob: TestBlob, backend = subject.backend) => backend.fileName(keyOf(blob), signal);
  const write = (blob: TestBlob, fileName: string | undefined, keeping?: { atLeastMs: number; renewAfterMs: number }) =>
    subject.backend.write(keyOf(blob), blob, chunksOf(blob.bytes, 1_000_000), { signal, fileName, keeping });

  test.each(texts)("keeps %j as it was given", async (name) => {
    for (const size of [0, small, large]) {
      const blob = randomBlob(size);
      await subject.backend.delete(keyOf(blob), signal);
      await write(blob, name);
      expect(await nameOf(blob, subject.store.open("acme/"))).toBe(name);
      await subject.expectStored(blob);
    }
  });

  test.each([small, large])("has none for %d bytes that nobody named, or that are not there", async (size) => {
    const blob = randomBlob(size);
    expect(await nameOf(blob)).toBeUndefined();
    await subject.put(blob);
    expect(await nameOf(blob)).toBeUndefined();
  });

  test.each([small, large])("the first name of %d bytes stays, also when they are stored anew", async (size) => {
    const blob = randomBlob(size);
    await write(blob, "first");
    for (const keeping of [undefined, { atLeastMs: 0, renewAfterMs: -60_000 }]) {
      await write(blob, "second", keeping);
      await write(blob, undefined, keeping);
      expect(await nameOf(blob)).toBe("first");
    }
    await subject.expectStored(blob);
  });

  test.each([small, large])("a name goes with its %d bytes", async (size) => {
    const before = await subject.leftovers();
    const blob = randomBlob(size);
    await write(blob, "first");
    await subject.backend.delete(keyOf(blob), signal);
    expect(await nameOf(blob)).toBeUndefined();
    expect(await subject.leftovers()).toEqual(before);
    await write(blob, "second");
    expect(await nameOf(blob)).toBe("second");
  });

  test.each([small, large])("%d wrong bytes leave no name", async (size) => {
    const before = await subject.leftovers();
    const blob = randomBlob(size);
    const wrong = { ...blob, bytes: withWrongEnd(blob.bytes) };
    await expect(write(wrong, "wrong")).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
    expect(await subject.leftovers()).toEqual(before);
    await write(blob, "right");
    expect(await nameOf(blob)).toBe("right");
  });

  test("does not show what it keeps of names as blobs", async () => {
    const backend = subject.store.open("named/");
    const blob = randomBlob(small);
    await backend.write(keyOf(blob), blob, chunksOf(blob.bytes, small), { signal, fileName: "a name" });
    const listed: string[] = [];
    for (const folder of ["blobs/", "bundles/"])
      for await (const { key } of backend.list(folder, "", signal)) listed.push(key);
    expect(listed).toEqual([keyOf(blob)]);
  });
}
