import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import type { Backend } from "../../src/backends/backend.ts";
import { chunksOf, randomBlob, type TestBlob } from "../blobs.ts";
import { failingAfter, keyOf, oneDayMs, resumable, type Subject, signal } from "./subject.ts";

/** Long enough for a busy machine to say in time that an upload lives. */
const uploadRetentionMs = 4_000;

export function sweeping(subject: Subject): void {
  async function breakOff(backend: Backend, blob: TestBlob, uploadId: string): Promise<void> {
    const source = failingAfter(blob.bytes.subarray(0, 17_000_000), 1_000_000);
    const options = { signal, resumable: resumable(uploadId) };
    await expect(backend.write(keyOf(blob), blob, source, options)).rejects.toThrow("the source failed");
    expect(await backend.committed(keyOf(blob), blob, uploadId, signal)).toBeGreaterThan(0);
  }
  const stale = () => new Date(Date.now() - uploadRetentionMs);

  test("removes what nobody went on with, and nothing else", async () => {
    const mine = subject.store.open("swept/", { uploadRetentionMs });
    const another = subject.store.open("swept/", { uploadRetentionMs });
    const neighbour = subject.store.open("swept-not/");
    const stored = randomBlob(9_000_000);
    await mine.write(keyOf(stored), stored, chunksOf(stored.bytes, 1_000_000), { signal });
    const before = await subject.store.leftovers("swept/");
    const [first, second, theirs, live] = [1, 2, 3, 4].map(() => ({
      blob: randomBlob(20_000_000),
      id: crypto.randomUUID(),
    })) as [Upload, Upload, Upload, Upload];
    await Promise.all([
      breakOff(mine, first.blob, first.id),
      breakOff(another, second.blob, second.id),
      breakOff(neighbour, theirs.blob, theirs.id),
    ]);

    // A client that is slow, but there: it says nothing for longer than the retention.
    const swept = Promise.withResolvers<void>();
    async function* slow() {
      yield live.blob.bytes.subarray(0, 17_000_000);
      await swept.promise;
      yield live.blob.bytes.subarray(17_000_000);
    }
    const options = { signal, resumable: resumable(live.id) };
    const writing = mine.write(keyOf(live.blob), live.blob, slow(), options);
    expect(await another.sweep(new Date(Date.now() - oneDayMs), signal)).toBe(0);
    expect(await mine.committed(keyOf(first.blob), first.blob, first.id, signal)).toBeGreaterThan(0);

    await sleep(1.2 * uploadRetentionMs);
    expect(await another.sweep(stale(), signal)).toBe(2);
    for (const { blob, id } of [first, second]) expect(await mine.committed(keyOf(blob), blob, id, signal)).toBe(0);
    expect(await neighbour.committed(keyOf(theirs.blob), theirs.blob, theirs.id, signal)).toBeGreaterThan(0);

    swept.resolve();
    await writing;
    await subject.expectStored(live.blob, another);
    await subject.expectStored(stored, another);
    await another.delete(keyOf(live.blob), signal);
    expect(await another.sweep(stale(), signal)).toBe(0);
    expect((await subject.store.leftovers("swept/")).sort()).toEqual(before.sort());
    expect(await neighbour.sweep(new Date(Date.now() + 60_000), signal)).toBe(1);
    expect(await subject.store.leftovers("swept-not/")).toEqual([]);
  }, 30_000);

  test("what was swept begins anew", async () => {
    const blob = randomBlob(20_000_000);
    const uploadId = crypto.randomUUID();
    await breakOff(subject.backend, blob, uploadId);
    const offset = await subject.backend.committed(keyOf(blob), blob, uploadId, signal);
    expect(await subject.store.open("acme/").sweep(new Date(Date.now() + 60_000), signal)).toBeGreaterThan(0);
    const goOn = (offset: number) =>
      subject.backend.write(keyOf(blob), blob, chunksOf(blob.bytes.subarray(offset), 1_000_000), {
        signal,
        resumable: resumable(uploadId, offset),
      });
    await expect(goOn(offset)).rejects.toMatchObject({ code: "WRITE_OFFSET_INVALID" });
    await goOn(0);
    await subject.expectStored(blob);
  });

  test("there is nothing to sweep where nothing is", async () => {
    expect(await subject.store.open("nobody/").sweep(new Date(), signal)).toBe(0);
  });
}

interface Upload {
  blob: TestBlob;
  id: string;
}
