import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeWith, minioClient, testMinio } from "@attestry/dev-env";
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { Backend } from "../src/backends/backend.ts";
import { FilesystemBackend } from "../src/backends/filesystem.ts";
import { filesBelow, randomBlob } from "./blobs.ts";
import { away, createRetentionWorld, daySeconds, type RetentionWorld } from "./retention-world.ts";
import { type BucketKind, startBucket } from "./s3-bucket.ts";

interface Place {
  provider: "filesystem" | "s3";
  backend: Backend;
  /** Everything there, versions too, whose name holds the text. */
  namesWith(text: string): Promise<string[]>;
  stop(): Promise<void>;
}

describe("materials past at_most, in a folder", () => sweepSuite(folder, [1_000]));
describeWith(["minio"], "materials past at_most, in a bucket with versioning", () =>
  sweepSuite(() => bucketOf("versioned"), [1_000, 9_000_000]),
);
describeWith(["minio"], "materials past at_most, in a bucket with Object Lock", () =>
  sweepSuite(() => bucketOf("locked"), [1_000, 9_000_000]),
);

async function folder(): Promise<Place> {
  const root = await mkdtemp(join(tmpdir(), "attestry-retention-"));
  return {
    provider: "filesystem",
    backend: new FilesystemBackend({ root, uploadRetentionMs: 86_400_000 }),
    namesWith: async (text) => (await filesBelow(root)).filter((name) => name.includes(text)),
    stop: () => rm(root, { recursive: true, force: true }),
  };
}

async function bucketOf(kind: BucketKind): Promise<Place> {
  const bucket = await startBucket(kind);
  const client = minioClient(testMinio());
  return {
    provider: "s3",
    backend: bucket.open("acme/"),
    async namesWith(text) {
      const names: string[] = [];
      for await (const { name } of client.listObjects(bucket.options.bucket, "", true, { IncludeVersion: true }))
        if (name?.includes(text)) names.push(name);
      // Of uploads that came to their end.
      return names.filter((name) => !name.includes("/uploads/"));
    },
    stop: () => bucket.stop(),
  };
}

describeWith(["minio"], "materials past at_most, in a bucket without versioning", () => {
  test("stay, as a note and a metric say", async () => {
    const place = await bucketOf("plain");
    const world = await createRetentionWorld(place.backend, "s3");
    const blob = randomBlob(1_000);
    await world.write(blob);
    for (const bounds of [undefined, { atLeastSeconds: daySeconds, atMostSeconds: 0 }]) {
      world.bounds = bounds;
      await world.sweep(31);
      expect(await world.metric("cas_gateway_retention_unable_total")).toBe(0);
    }
    world.bounds = { atLeastSeconds: 0, atMostSeconds: 30 * daySeconds };
    await world.sweep(31);
    await world.sweep(39);
    expect(await world.metric("cas_gateway_retention_unable_total", { provider: "s3" })).toBe(2);
    expect(place.backend.notes).toEqual([expect.stringContaining("the bucket has no versioning")]);
    expect((await world.read(blob))?.equals(blob.bytes)).toBe(true);
    expect(world.recorded).toEqual([]);
    await place.stop();
  });
});

describeWith(["minio"], "the ages of materials in a bucket", () => {
  test("are by the clock of the store, whatever the gateway's says", async () => {
    const place = await bucketOf("versioned");
    const world = await createRetentionWorld(place.backend, "s3");
    world.bounds = { atLeastSeconds: 0, atMostSeconds: 30 * daySeconds };
    const blob = randomBlob(1_000);
    await world.write(blob);
    const now = Date.now;
    const clock = jest.spyOn(Date, "now").mockImplementation(() => now() + 400 * daySeconds * 1_000);
    try {
      await world.sweep(0);
    } finally {
      clock.mockRestore();
    }
    expect(world.recorded).toEqual([]);
    expect((await world.read(blob))?.equals(blob.bytes)).toBe(true);
    await place.stop();
  });
});

function sweepSuite(start: () => Promise<Place>, sizes: readonly number[]): void {
  let place: Place;
  let world: RetentionWorld;
  beforeAll(async () => {
    place = await start();
  });
  afterAll(() => place.stop());
  beforeEach(async () => {
    world = await createRetentionWorld(place.backend, place.provider);
    world.bounds = { atLeastSeconds: 0, atMostSeconds: 30 * daySeconds };
  });

  test.each(sizes)("of %d bytes go out of sight, and after the grace for good; bundles stay", async (size) => {
    const [blob, bundle] = [randomBlob(size), randomBlob(size)];
    await world.write(blob);
    await world.write(bundle, "bundles");
    await world.sweep(29);
    expect((await world.read(blob))?.equals(blob.bytes)).toBe(true);
    expect(world.recorded).toEqual([]);

    await world.sweep(31);
    expect(await world.read(blob)).toBeUndefined();
    expect(world.recorded).toEqual([`material.expire ${blob.digest}`]);
    await world.sweep(34);
    expect(world.recorded).toHaveLength(1);
    await world.sweep(39);
    expect(await place.namesWith(blob.hex)).toEqual([]);
    expect(world.recorded.at(-1)).toBe(`material.delete ${blob.digest}`);
    expect(await world.metric("cas_gateway_retention_materials_total", { step: "removed" })).toBe(1);
    expect((await world.read(bundle, "bundles"))?.equals(bundle.bytes)).toBe(true);
  });

  test.each(sizes)("of %d bytes come back when at_most is raised, and go when it is lowered", async (size) => {
    const blob = randomBlob(size);
    await world.write(blob);
    await world.sweep(31);
    expect(await world.read(blob)).toBeUndefined();
    for (const bounds of [
      { atLeastSeconds: 60 * daySeconds, atMostSeconds: 60 * daySeconds },
      { atLeastSeconds: 0, atMostSeconds: 0 },
      undefined,
    ]) {
      world.bounds = bounds;
      await world.sweep(39);
      expect((await world.read(blob))?.equals(blob.bytes)).toBe(true);
      expect(world.recorded.at(-1)).toBe(`material.keep ${blob.digest}`);
      world.bounds = { atLeastSeconds: 0, atMostSeconds: 30 * daySeconds };
      await world.sweep(31);
      expect(await world.read(blob)).toBeUndefined();
    }
    await world.sweep(39);
    expect(await place.namesWith(blob.hex)).toEqual([]);
  });

  test("at_least wins", async () => {
    const blob = randomBlob(1_000);
    await world.write(blob);
    world.bounds = { atLeastSeconds: 60 * daySeconds, atMostSeconds: 30 * daySeconds };
    await world.sweep(59);
    expect((await world.read(blob))?.equals(blob.bytes)).toBe(true);
  });

  test.each(sizes)("of %d bytes that are written anew stay, whatever becomes of the old", async (size) => {
    const blob = randomBlob(size);
    await world.write(blob);
    await world.sweep(31);
    expect(await world.write(blob)).toBe("stored");
    expect((await world.read(blob))?.equals(blob.bytes)).toBe(true);
    // Neither brought back over the new one nor in its way.
    world.bounds = undefined;
    await world.sweep(1);
    expect((await world.read(blob))?.equals(blob.bytes)).toBe(true);
    await place.backend.sweep(new Date(), new AbortController().signal);
    expect((await world.read(blob))?.equals(blob.bytes)).toBe(true);
  });

  test.each(sizes)("nothing of %d bytes goes unrecorded", async (size) => {
    const blob = randomBlob(size);
    await world.write(blob);
    world.beforeRecord = away;
    await world.sweep(31);
    expect((await world.read(blob))?.equals(blob.bytes)).toBe(true);
    world.beforeRecord = () => undefined;
    await world.sweep(31);
    expect(await world.read(blob)).toBeUndefined();
    world.beforeRecord = away;
    await world.sweep(39);
    expect(await place.namesWith(blob.hex)).not.toEqual([]);
    world.beforeRecord = () => undefined;
    world.bounds = undefined;
    await world.sweep(39);
    expect((await world.read(blob))?.equals(blob.bytes)).toBe(true);
  });
}
