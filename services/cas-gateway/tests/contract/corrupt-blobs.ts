import { expect, test } from "@jest/globals";
import { randomBlob } from "../blobs.ts";
import { keyOf, type Subject, signal, withWrongEnd } from "./subject.ts";

export function corruptBlobs(subject: Subject): void {
  test.each([100, 9_000_000])(
    "a right write of %d bytes takes the place of a wrong blob of the same size",
    async (size) => {
      const blob = randomBlob(size);
      await subject.put(blob);
      await subject.store.spoil("acme/", keyOf(blob), withWrongEnd(blob.bytes));
      expect((await subject.get(blob))?.equals(withWrongEnd(blob.bytes))).toBe(true);
      await subject.put(blob);
      await subject.expectStored(blob);
    },
  );

  test.each([100, 9_000_000])("a right write of %d bytes takes the place of a shorter one", async (size) => {
    const blob = randomBlob(size);
    await subject.store.spoil("acme/", keyOf(blob), blob.bytes.subarray(0, 50));
    await subject.put(blob);
    await subject.expectStored(blob);
  });

  test.each([100, 9_000_000])("sets aside %d bytes that are wrong, and only them", async (size) => {
    const blob = randomBlob(size);
    await subject.put(blob);
    expect(await subject.backend.setAside(keyOf(blob), blob, signal)).toBe(false);
    await subject.expectStored(blob);
    await subject.store.spoil("acme/", keyOf(blob), withWrongEnd(blob.bytes));
    const isAside = await subject.backend.setAside(keyOf(blob), blob, signal);
    expect((await subject.backend.describe(keyOf(blob), signal)) === undefined).toBe(isAside);
    await subject.put(blob);
    await subject.expectStored(blob);
  });

  test("sets nothing aside where nothing is", async () => {
    const blob = randomBlob(100);
    expect(await subject.backend.setAside(keyOf(blob), blob, signal)).toBe(false);
    await subject.expectAbsent(blob);
  });

  test("a right write while a wrong blob is set aside is not lost", async () => {
    for (let i = 0; i < 20; i++) {
      const blob = randomBlob(1_000);
      await subject.store.spoil("acme/", keyOf(blob), withWrongEnd(blob.bytes));
      await Promise.all([subject.backend.setAside(keyOf(blob), blob, signal), subject.put(blob)]);
      await subject.expectStored(blob);
    }
  });
}
