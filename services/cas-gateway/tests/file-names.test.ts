import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeWith } from "@attestry/dev-env";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Backend } from "../src/backends/backend.ts";
import { FilesystemBackend } from "../src/backends/filesystem.ts";
import { chunksOf, filesBelow, randomBlob, type TestBlob } from "./blobs.ts";
import { keyOf, signal } from "./contract/subject.ts";
import { soon } from "./expiry-world.ts";
import { startBucket } from "./s3-bucket.ts";

describe("names of files in a folder", () => {
  namesSuite(async () => {
    const root = await mkdtemp(join(tmpdir(), "attestry-names-"));
    return {
      backend: new FilesystemBackend({ root, uploadRetentionMs: 86_400_000 }),
      content: () => filesBelow(root),
      stop: () => rm(root, { recursive: true }),
    };
  });
});

describeWith(["minio"], "names of files in a bucket with versions", () => {
  namesSuite(async () => {
    const bucket = await startBucket("versioned");
    return {
      backend: bucket.backend({ prefix: "acme/" }),
      content: () => bucket.leftovers("acme/"),
      stop: () => bucket.stop(),
    };
  });
});

describeWith(["minio"], "names of files in a bucket with Object Lock", () => {
  test.each([100, 9_000_000])("%d bytes are held, and named", async (size) => {
    const bucket = await startBucket("locked");
    const backend = bucket.backend({ prefix: "acme/" });
    const blob = randomBlob(size);
    const query = { hex: blob.hex, sizeBytes: undefined };
    const options = { signal, fileName: "held", keeping: { atLeastMs: 60_000, renewAfterMs: undefined } };
    await backend.write(keyOf(blob), query, chunksOf(blob.bytes, 1_000_000), options);
    expect(await backend.fileName(keyOf(blob), signal)).toBe("held");
    const expiry = await backend.expiry(signal);
    expect(await expiry?.mayHide(keyOf(blob), soon(), signal)).toBe(false);
    await bucket.stop();
  });
});

interface NamesWorld {
  backend: Backend;
  content(): Promise<string[]>;
  stop(): Promise<void>;
}

/** What becomes of a name while its blob is out of sight, set aside, or gone. */
function namesSuite(start: () => Promise<NamesWorld>): void {
  let world: NamesWorld;
  beforeAll(async () => {
    world = await start();
  });
  afterAll(() => world.stop());

  const write = (blob: TestBlob, fileName: string, bytes = blob.bytes, hex = blob.hex) =>
    world.backend.write(keyOf(blob), { hex, sizeBytes: undefined }, chunksOf(bytes, 1_000_000), { signal, fileName });
  const nameOf = (blob: TestBlob) => world.backend.fileName(keyOf(blob), signal);

  test.each([100, 9_000_000])("%d bytes that come back into sight have their name", async (size) => {
    const blob = randomBlob(size);
    await write(blob, "first");
    const expiry = await world.backend.expiry(signal);
    expect(await expiry?.hide(keyOf(blob), soon(), signal)).toBe(true);
    expect(await nameOf(blob)).toBeUndefined();
    for await (const hidden of expiry?.hidden(signal) ?? []) await expiry?.restore(hidden, signal);
    expect(await nameOf(blob)).toBe("first");
  });

  test.each([100, 9_000_000])("%d bytes that are removed for good leave no name", async (size) => {
    const before = (await world.content()).length;
    const blob = randomBlob(size);
    await write(blob, "first");
    const expiry = await world.backend.expiry(signal);
    expect(await expiry?.hide(keyOf(blob), soon(), signal)).toBe(true);
    for await (const hidden of expiry?.hidden(signal) ?? []) expect(await expiry?.remove(hidden, signal)).toBe(true);
    expect(await world.content()).toHaveLength(before);
    await write(blob, "second");
    expect(await nameOf(blob)).toBe("second");
  });

  test.each([100, 9_000_000])("%d bytes that were written anew meanwhile keep a name", async (size) => {
    const blob = randomBlob(size);
    await write(blob, "same");
    const expiry = await world.backend.expiry(signal);
    expect(await expiry?.hide(keyOf(blob), soon(), signal)).toBe(true);
    await write(blob, "same");
    for await (const hidden of expiry?.hidden(signal) ?? []) await expiry?.remove(hidden, signal);
    expect(await nameOf(blob)).toBe("same");
  });

  test.each([100, 9_000_000])(
    "%d bytes that turn out wrong are set aside, and the right ones have the name",
    async (size) => {
      const [blob, other] = [randomBlob(size), randomBlob(size)];
      // Under the key of the one lies the other, as rot would have it.
      await write(blob, "first", other.bytes, other.hex);
      expect(await world.backend.setAside(keyOf(blob), blob, signal)).toBe(true);
      expect(await nameOf(blob)).toBeUndefined();
      expect(await write(blob, "second")).toBe("stored");
      expect(await nameOf(blob)).toBe("first");
    },
  );
}
