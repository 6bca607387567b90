import { describeWith, minioClient, testMinio } from "@attestry/dev-env";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { Backend } from "../src/backends/backend.ts";
import { validateBackend } from "../src/blobs/validate-backend.ts";
import { chunksOf, randomBlob, type TestBlob } from "./blobs.ts";
import { keyOf, readWith } from "./contract/subject.ts";
import { refusal, startFaultyStore } from "./faulty-store.ts";
import { type Bucket, type BucketKind, startBucket } from "./s3-bucket.ts";

const { signal } = new AbortController();
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const [small, large] = [1_000, 20_000_000];

interface Version {
  name: string;
  versionId: string;
  isDeleteMarker: boolean;
  isLatest: boolean;
}

describeWith(["minio"], "retention in a bucket with Object Lock", () => {
  const client = minioClient(testMinio());
  let bucket: Bucket;
  let backend: Backend;
  beforeAll(async () => {
    bucket = await startBucket("locked");
    backend = bucket.open("acme/");
  });
  afterAll(() => bucket.stop());

  const write = (blob: TestBlob, atLeastMs?: number, to = backend) => {
    const keeping = atLeastMs === undefined ? undefined : { atLeastMs, renewAfterMs: undefined };
    return to.write(keyOf(blob), blob, chunksOf(blob.bytes, 1_000_000), { signal, keeping });
  };
  async function versionsBelow(prefix: string, of = bucket): Promise<Version[]> {
    const versions: Version[] = [];
    for await (const one of client.listObjects(of.options.bucket, `acme/${prefix}`, true, { IncludeVersion: true }))
      versions.push(one as unknown as Version);
    return versions;
  }
  /** Of a small blob its object, of a large one its data and its reference; as they are read. */
  async function objectsOf(blob: TestBlob): Promise<Version[]> {
    const found = [...(await versionsBelow(keyOf(blob))), ...(await versionsBelow(`data/${keyOf(blob)}/`))];
    return found.filter(({ isDeleteMarker, isLatest }) => isLatest && !isDeleteMarker);
  }
  async function heldUntil({ name, versionId }: Version): Promise<{ mode: string; ms: number }> {
    const found = await client
      .getObjectRetention(bucket.options.bucket, name, { versionId })
      .catch((error: unknown) => {
        if ((error as { code?: string }).code === "NoSuchObjectLockConfiguration") return undefined;
        throw error;
      });
    if (!found) return { mode: "none", ms: 0 };
    return { mode: String(found.mode), ms: Date.parse(found.retainUntilDate) - Date.now() };
  }

  test.each([
    [small, 1],
    [large, 2],
  ])("a blob of %d bytes is held: nobody deletes its %d objects", async (size, objects) => {
    const blob = randomBlob(size);
    expect(await write(blob, 3 * dayMs)).toBe("stored");
    const versions = await objectsOf(blob);
    expect(versions).toHaveLength(objects);
    for (const version of versions) {
      const { mode, ms } = await heldUntil(version);
      expect(mode).toBe("COMPLIANCE");
      expect(ms).toBeGreaterThan(3 * dayMs - 60_000);
      expect(ms).toBeLessThan(3 * dayMs + hourMs);
      const { name, versionId } = version;
      const removal = client.removeObject(bucket.options.bucket, name, { versionId, governanceBypass: true });
      await expect(removal).rejects.toThrow("WORM protected");
    }
    expect((await readWith(backend, blob))?.equals(blob.bytes)).toBe(true);
  });

  test.each([small, large])("one of %d bytes that is there is held longer, before a write says so", async (size) => {
    const blob = randomBlob(size);
    await write(blob);
    for (const version of await objectsOf(blob)) expect((await heldUntil(version)).ms).toBe(0);
    for (const [asked, held] of [
      [dayMs, dayMs],
      [5 * dayMs, 5 * dayMs],
      [2 * dayMs, 5 * dayMs],
    ] as const) {
      expect(await write(blob, asked)).toBe("existed");
      for (const version of await objectsOf(blob)) expect((await heldUntil(version)).ms).toBeGreaterThan(held - 60_000);
    }
  });

  test("holds by the store's clock, whatever the gateway's says", async () => {
    const [blob, other] = [randomBlob(small), randomBlob(small)];
    const now = Date.now;
    const clock = jest.spyOn(Date, "now").mockImplementation(() => now() - 10 * dayMs);
    try {
      await write(blob, dayMs);
      await write(other);
      await backend.hold(keyOf(other), dayMs, signal);
    } finally {
      clock.mockRestore();
    }
    const expiry = await backend.expiry(signal);
    const ahead = jest.spyOn(Date, "now").mockImplementation(() => now() + 10 * dayMs);
    const mayHide = await expiry?.mayHide(keyOf(blob), new Date(now() + dayMs), signal);
    ahead.mockRestore();
    expect(mayHide).toBe(false);
    for (const one of [blob, other])
      expect((await heldUntil((await objectsOf(one))[0] as Version)).ms).toBeGreaterThan(dayMs - 60_000);
  });

  test("holds what is found to be there, and tells what is not", async () => {
    const blob = randomBlob(small);
    expect(await backend.hold(keyOf(blob), dayMs, signal)).toBe(false);
    await write(blob);
    expect(await backend.hold(keyOf(blob), dayMs, signal)).toBe(true);
    const [version] = await objectsOf(blob);
    expect((await heldUntil(version as Version)).ms).toBeGreaterThan(dayMs - 60_000);
  });

  test("GOVERNANCE where the secret says so; never weaker than what holds already", async () => {
    const governing = bucket.backend({ prefix: "acme/", objectLockMode: "GOVERNANCE" });
    const [blob, other] = [randomBlob(small), randomBlob(small)];
    await write(blob, dayMs, governing);
    expect(await heldUntil((await objectsOf(blob))[0] as Version)).toMatchObject({ mode: "GOVERNANCE" });
    await write(other, dayMs);
    await write(other, 2 * dayMs, governing);
    const { mode, ms } = await heldUntil((await objectsOf(other))[0] as Version);
    expect(mode).toBe("COMPLIANCE");
    expect(ms).toBeGreaterThan(2 * dayMs - 60_000);
  });

  test("what breaks off, and what is of no organization's wish, is not held", async () => {
    const blob = randomBlob(large);
    const keeping = { atLeastMs: dayMs, renewAfterMs: undefined };
    const source = chunksOf(randomBlob(large).bytes, 1_000_000);
    await expect(backend.write(keyOf(blob), blob, source, { signal, keeping })).rejects.toThrow("sha256");
    for (const version of await objectsOf(blob)) expect((await heldUntil(version)).ms).toBe(0);
    expect(await validateBackend(async () => backend, signal)).toBeUndefined();
    for (const probe of await versionsBelow("probes/"))
      if (!probe.isDeleteMarker) expect((await heldUntil(probe)).ms).toBe(0);
  });

  test("a blob that is deleted is gone for readers, and stays as a version", async () => {
    const blob = randomBlob(small);
    await write(blob, dayMs);
    await backend.delete(keyOf(blob), signal);
    expect(await backend.describe(keyOf(blob), signal)).toBeUndefined();
    const left = await versionsBelow(keyOf(blob));
    expect(left.filter(({ isDeleteMarker }) => isDeleteMarker)).toHaveLength(1);
    expect(left).toHaveLength(2);
    expect(await write(blob, dayMs)).toBe("stored");
    expect((await readWith(backend, blob))?.equals(blob.bytes)).toBe(true);
  });

  describe.each<BucketKind>(["plain", "versioned"])("and in a %s bucket", (kind) => {
    test("nothing is held, and writes work as ever", async () => {
      const other = await startBucket(kind);
      const there = other.open("acme/");
      for (const blob of [randomBlob(small), randomBlob(large)]) {
        expect(await write(blob, dayMs, there)).toBe("stored");
        expect(await write(blob, dayMs, there)).toBe("existed");
        expect((await readWith(there, blob))?.equals(blob.bytes)).toBe(true);
      }
      expect(there.notes).toEqual([]);
      await other.stop();
    });
  });

  test.each([
    [501, "NotImplemented", 0],
    [405, "MethodNotAllowed", 0],
    [403, "AccessDenied", 2],
  ])("a store that answers %d %s to what its bucket can is taken to hold nothing", async (status, code, notes) => {
    const faulty = await startFaultyStore(bucket.options.endpoint.href);
    const there = bucket.backend({ endpoint: faulty.endpoint, prefix: "acme/" });
    faulty.fate = (line) => (/\?(object-lock|versioning)/.test(line) ? refusal(status, code) : "pass");
    const blob = randomBlob(small);
    expect(await write(blob, dayMs, there)).toBe("stored");
    expect(await write(blob, dayMs, there)).toBe("existed");
    for (const version of await objectsOf(blob)) expect((await heldUntil(version)).ms).toBe(0);
    expect(there.notes).toHaveLength(notes);
    // It is asked once.
    expect(faulty.seen.filter(({ line }) => line.includes("object-lock"))).toHaveLength(1);
    await faulty.close();
  });
});
