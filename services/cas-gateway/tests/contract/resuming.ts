import { describe, expect, test } from "@jest/globals";
import type { Backend } from "../../src/backends/backend.ts";
import { chunksOf, randomBlob, type TestBlob } from "../blobs.ts";
import { failingAfter, keyOf, resumable, type Subject, signal, withWrongEnd } from "./subject.ts";

const size = 20_000_000;
const sent = 17_000_000;

export function resuming(subject: Subject): void {
  const committed = (blob: TestBlob, id: string, backend = subject.backend) =>
    backend.committed(keyOf(blob), blob, id, signal);
  /** Breaks off after the first bytes, and tells how many were kept. */
  async function breakOff(blob: TestBlob, id: string, bytes = blob.bytes.subarray(0, sent)): Promise<number> {
    const options = { signal, resumable: resumable(id) };
    const broken = subject.backend.write(keyOf(blob), blob, failingAfter(bytes), options);
    await expect(broken).rejects.toThrow("the source failed");
    await subject.expectAbsent(blob);
    return committed(blob, id);
  }
  function goOn(blob: TestBlob, id: string, offset: number, bytes: Uint8Array = blob.bytes, backend?: Backend) {
    const options = { signal, resumable: resumable(id, offset) };
    const source = chunksOf(bytes.subarray(offset), 1_000_000);
    return (backend ?? subject.backend).write(keyOf(blob), blob, source, options);
  }

  test("on another replica, at what is committed", async () => {
    const [blob, id] = [randomBlob(size), crypto.randomUUID()];
    const before = await subject.leftovers();
    const kept = await breakOff(blob, id);
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThanOrEqual(sent);
    const replica = subject.store.open("acme/");
    expect(await committed(blob, id, replica)).toBe(kept);
    await goOn(blob, id, kept, blob.bytes, replica);
    await subject.expectStored(blob);
    expect(await committed(blob, id)).toBe(0);
    await subject.backend.delete(keyOf(blob), signal);
    expect(await subject.leftovers()).toEqual(before);
  });

  test("again and again, from replica to replica", async () => {
    const [blob, id] = [randomBlob(45_000_000), crypto.randomUUID()];
    const before = await subject.leftovers();
    let offset = 0;
    for (const end of [9_000_000, 18_000_000, 18_500_000, 35_000_000]) {
      const replica = subject.store.open("acme/");
      const source = failingAfter(blob.bytes.subarray(offset, end));
      const options = { signal, resumable: resumable(id, offset) };
      await expect(replica.write(keyOf(blob), blob, source, options)).rejects.toThrow("the source failed");
      const now = await committed(blob, id);
      expect(now).toBeGreaterThanOrEqual(offset);
      expect(now).toBeLessThanOrEqual(end);
      offset = now;
    }
    expect(offset).toBeGreaterThan(18_500_000);
    await goOn(blob, id, offset);
    await subject.expectStored(blob);
    await subject.backend.delete(keyOf(blob), signal);
    expect(await subject.leftovers()).toEqual(before);
  });

  test.each([1_000, 9_000_000, size])("%d bytes that all came, but were not finished", async (bytes) => {
    const [blob, id] = [randomBlob(bytes), crypto.randomUUID()];
    const kept = await breakOff(blob, id, blob.bytes);
    expect(kept).toBeLessThanOrEqual(bytes);
    await goOn(blob, id, kept);
    await subject.expectStored(blob);
  });

  describe.each(["before it broke off", "after it broke off"])("with wrong bytes %s", (when) => {
    test("is refused, and what was kept is let go of", async () => {
      const [blob, id] = [randomBlob(size), crypto.randomUUID()];
      const before = await subject.leftovers();
      const wrong = withWrongEnd(blob.bytes);
      const first = Buffer.from(blob.bytes.subarray(0, sent));
      if (when === "before it broke off") first.writeUInt8(first.readUInt8(0) ^ 1, 0);
      const kept = await breakOff(blob, id, first);
      const rest = when === "before it broke off" ? blob.bytes : wrong;
      await expect(goOn(blob, id, kept, rest)).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
      await subject.expectAbsent(blob);
      expect(await committed(blob, id)).toBe(0);
      expect(await subject.leftovers()).toEqual(before);
      await goOn(blob, id, 0);
      await subject.expectStored(blob);
    });
  });

  test.each([
    ["too few", -1],
    ["too many", 1],
  ])("with %s bytes is refused, and what was kept is let go of", async (_what, surplus) => {
    const [blob, id] = [randomBlob(size), crypto.randomUUID()];
    const before = await subject.leftovers();
    const kept = await breakOff(blob, id);
    const bytes = Buffer.concat([blob.bytes, Buffer.from("x")]).subarray(0, size + surplus);
    await expect(goOn(blob, id, kept, bytes)).rejects.toMatchObject({ code: "SIZE_MISMATCH" });
    await subject.expectAbsent(blob);
    expect(await committed(blob, id)).toBe(0);
    expect(await subject.leftovers()).toEqual(before);
  });

  test("at 0 begins anew", async () => {
    const [blob, id] = [randomBlob(size), crypto.randomUUID()];
    const before = await subject.leftovers();
    const wrong = Buffer.alloc(sent);
    expect(await breakOff(blob, id, wrong)).toBeGreaterThan(0);
    await goOn(blob, id, 0);
    await subject.expectStored(blob);
    await subject.backend.delete(keyOf(blob), signal);
    expect(await subject.leftovers()).toEqual(before);
  });

  test("at 0 lets go of what was kept, even when it breaks off at once", async () => {
    const [blob, id] = [randomBlob(size), crypto.randomUUID()];
    await breakOff(blob, id, Buffer.alloc(sent));
    expect(await breakOff(blob, id, blob.bytes.subarray(0, 100))).toBeLessThanOrEqual(100);
    await goOn(blob, id, 0);
    await subject.expectStored(blob);
  });

  test("beyond what is committed is refused, and costs nothing of it", async () => {
    const [blob, id] = [randomBlob(size), crypto.randomUUID()];
    const kept = await breakOff(blob, id);
    await expect(goOn(blob, id, kept + 1)).rejects.toMatchObject({ code: "WRITE_OFFSET_INVALID" });
    await expect(goOn(blob, crypto.randomUUID(), kept)).rejects.toMatchObject({ code: "WRITE_OFFSET_INVALID" });
    await expect(goOn(randomBlob(size), id, kept)).rejects.toMatchObject({ code: "WRITE_OFFSET_INVALID" });
    await subject.expectAbsent(blob);
    expect(await committed(blob, id)).toBe(kept);
    await goOn(blob, id, kept);
    await subject.expectStored(blob);
  });

  test("short of what is committed is refused, or right", async () => {
    const [blob, id] = [randomBlob(size), crypto.randomUUID()];
    const kept = await breakOff(blob, id);
    const fault = await goOn(blob, id, kept - 1).catch((error: unknown) => error);
    if (fault === "stored") return subject.expectStored(blob);
    expect(fault).toMatchObject({ code: "WRITE_OFFSET_INVALID" });
    await goOn(blob, id, await committed(blob, id));
    await subject.expectStored(blob);
  });

  test("keeps what came only after faults that it is told to", async () => {
    const [blob, id] = [randomBlob(size), crypto.randomUUID()];
    const before = await subject.leftovers();
    const asked: unknown[] = [];
    const fault = new Error("not this one");
    const keepAfter = (error: unknown) => {
      asked.push(error);
      return error !== fault;
    };
    const source = failingAfter(blob.bytes.subarray(0, sent), 300_000, fault);
    const options = { signal, resumable: { uploadId: id, offset: 0, keepAfter } };
    await expect(subject.backend.write(keyOf(blob), blob, source, options)).rejects.toBe(fault);
    expect(asked).toContain(fault);
    expect(await committed(blob, id)).toBe(0);
    expect(await subject.leftovers()).toEqual(before);
  });

  test("keeps what came until it was aborted", async () => {
    const [blob, id] = [randomBlob(size), crypto.randomUUID()];
    const breaking = new AbortController();
    async function* silent() {
      yield* chunksOf(blob.bytes.subarray(0, sent), 1_000_000);
      setTimeout(() => breaking.abort(new Error("broken off")), 20);
      await new Promise(() => undefined);
    }
    const options = { signal: breaking.signal, resumable: resumable(id) };
    await expect(subject.backend.write(keyOf(blob), blob, silent(), options)).rejects.toThrow("broken off");
    const kept = await committed(blob, id);
    expect(kept).toBeGreaterThan(0);
    await goOn(blob, id, kept);
    await subject.expectStored(blob);
  });

  test("uploads of one blob with other names are others", async () => {
    const blob = randomBlob(size);
    const [right, wrong] = [crypto.randomUUID(), crypto.randomUUID()];
    const kept = await breakOff(blob, right);
    await breakOff(blob, wrong, Buffer.alloc(sent));
    expect(await committed(blob, right)).toBe(kept);
    await expect(goOn(blob, wrong, await committed(blob, wrong))).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
    expect(await committed(blob, right)).toBe(kept);
    await goOn(blob, right, kept);
    await subject.expectStored(blob);
  });

  test("an old stream that wakes up beside the one that went on spoils nothing", async () => {
    const [blob, id] = [randomBlob(size), crypto.randomUUID()];
    const woken = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    async function* sleepy() {
      yield* chunksOf(blob.bytes.subarray(0, sent), 1_000_000);
      started.resolve();
      await woken.promise;
      yield* chunksOf(Buffer.alloc(size - sent), 1_000_000);
    }
    const options = { signal, resumable: resumable(id) };
    const old = subject.backend.write(keyOf(blob), blob, sleepy(), options).catch((error: unknown) => error);
    await started.promise;
    const replica = subject.store.open("acme/");
    const offset = await committed(blob, id, replica);
    await goOn(blob, id, offset, blob.bytes, replica);
    woken.resolve();
    expect(await old).toBeInstanceOf(Error);
    await subject.expectStored(blob);
  });
}
