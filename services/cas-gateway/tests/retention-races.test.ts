import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describeWith, minioClient, testMinio } from "@attestry/dev-env";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Backend } from "../src/backends/backend.ts";
import { FilesystemBackend } from "../src/backends/filesystem.ts";
import { FilesystemExpiry } from "../src/backends/filesystem-expiry.ts";
import { Folders } from "../src/backends/folders.ts";
import { expiredKeyOf } from "../src/backends/s3-expired-records.ts";
import type { HiddenBlob } from "../src/retention/expiry.ts";
import { randomBlob } from "./blobs.ts";
import { failingAfter, keyOf, readWith, resumable } from "./contract/subject.ts";
import {
  dies,
  type ExpiryWorld,
  expectThere,
  hiddenBy,
  type Meeting,
  prefix,
  soon,
  startExpiryWorld,
  write,
} from "./expiry-world.ts";

const { signal } = new AbortController();
const [small, large] = [1_000, 9_000_000];

test("a file that is written anew before it is moved out of sight is back at once", async () => {
  const root = await mkdtemp(join(tmpdir(), "attestry-retention-"));
  const backend = new FilesystemBackend({ root, uploadRetentionMs: 86_400_000 });
  const blob = randomBlob(small);
  await write(backend, blob);
  // Times of files are those of the last tick of the system's clock.
  await sleep(50);
  const before = new Date();
  await sleep(50);
  class Racing extends Folders {
    override async moveIntoPlace(from: string, to: string, during: AbortSignal): Promise<void> {
      await write(backend, blob);
      await super.moveIntoPlace(from, to, during);
    }
  }
  const expiry = new FilesystemExpiry({ root, folders: new Racing(root) });
  expect(await expiry.hide(keyOf(blob), before, signal)).toBe(false);
  await expectThere(backend, blob);
  expect(await hiddenBy(expiry, blob)).toEqual([]);
  await rm(root, { recursive: true });
});

describeWith(["minio"], "materials in a bucket that go out of sight while others work there", () => {
  let world: ExpiryWorld;
  let backend: Backend;
  beforeAll(async () => {
    world = await startExpiryWorld();
    backend = world.backend;
  });
  afterAll(() => world.stop());
  const meeting = (meet: Meeting) => world.expiry(meet);
  const expiry = () => meeting({});
  /** When no deletion can be on its way any more. */
  const later = () => meeting({ laterMs: 2 * 3_600_000 });
  const client = minioClient(testMinio());

  describe.each([small, large])("of %d bytes", (size) => {
    test("what is written anew right before the deletion is seen again at once", async () => {
      const blob = randomBlob(size);
      await write(backend, blob);
      const racing = meeting({ deletion: async () => void (await write(backend, blob)) });
      expect(await racing.hide(keyOf(blob), soon(), signal)).toBe(false);
      await expectThere(backend, blob);
      // As any that was written over another: the old one is no business of the sweep any more.
      expect((await world.versions(keyOf(blob))).map(({ isMarker }) => isMarker)).toEqual([false, false]);
      for (const at of [expiry(), later()]) expect(await hiddenBy(at, blob)).toEqual([]);
      await expectThere(backend, blob);
      expect(await world.versions(expiredKeyOf(keyOf(blob)))).toEqual([]);
      expect(await world.names(`data/${keyOf(blob)}/`)).toHaveLength(size === large ? 1 : 0);
    });

    test("also if the sweep died there: the next one sees to it", async () => {
      const blob = randomBlob(size);
      await write(backend, blob);
      const dying = meeting({ deletion: async () => void (await write(backend, blob)), deleted: dies });
      await expect(dying.hide(keyOf(blob), soon(), signal)).rejects.toThrow("it died");
      expect(await readWith(backend, blob)).toBeUndefined();
      const found = await hiddenBy(expiry(), blob);
      await expectThere(backend, blob);
      for (const hidden of found) await expiry().restore(hidden, signal);
      await expectThere(backend, blob);
    });

    test("a sweep that died before it deleted hid nothing", async () => {
      const blob = randomBlob(size);
      await write(backend, blob);
      const dying = meeting({ deletion: async () => dies() });
      await expect(dying.hide(keyOf(blob), soon(), signal)).rejects.toThrow("it died");
      await expectThere(backend, blob);
      expect(await hiddenBy(expiry(), blob)).toEqual([]);
      // Its deletion could still be on its way.
      expect(await expiry().mayHide(keyOf(blob), soon(), signal)).toBe(false);
      expect(await hiddenBy(later(), blob)).toEqual([]);
      expect(await world.versions(expiredKeyOf(keyOf(blob)))).toEqual([]);
      await expectThere(backend, blob);
      expect(await expiry().mayHide(keyOf(blob), soon(), signal)).toBe(true);
    });

    test("a removal that dies at any of its steps shows nothing, and is finished by the next", async () => {
      const blob = randomBlob(size);
      let steps = 0;
      for (let survives = 0; steps >= survives; survives++) {
        await write(backend, blob);
        expect(await expiry().hide(keyOf(blob), soon(), signal)).toBe(true);
        const [hidden] = await hiddenBy(expiry(), blob);
        steps = 0;
        const dying = meeting({ removal: () => (++steps > survives ? dies() : undefined) });
        await dying.remove(hidden as HiddenBlob, signal).catch(() => undefined);
        expect(await readWith(backend, blob)).toBeUndefined();
        for (const left of await hiddenBy(later(), blob)) expect(await expiry().remove(left, signal)).toBe(true);
        for (const key of [keyOf(blob), expiredKeyOf(keyOf(blob))]) expect(await world.versions(key)).toEqual([]);
        expect(await world.names(`data/${keyOf(blob)}/`, { IncludeVersion: true })).toEqual([]);
      }
      expect(steps).toBeGreaterThan(2);
    });

    test("one that the store came to hold stays, hidden anew, and can come back", async () => {
      const blob = randomBlob(size);
      await write(backend, blob);
      await expiry().hide(keyOf(blob), soon(), signal);
      const version = (await world.versions(keyOf(blob))).find(({ isMarker }) => !isMarker);
      // Its type says that there is nothing to wait for.
      const holding: unknown = client.setObjectLegalHold(world.bucket.options.bucket, prefix + keyOf(blob), {
        versionId: version?.id ?? "",
        status: "ON",
      });
      await holding;
      const [hidden] = await hiddenBy(expiry(), blob);
      expect(await expiry().remove(hidden as HiddenBlob, signal)).toBe(false);
      const [again] = await hiddenBy(expiry(), blob);
      expect(again).toMatchObject({ key: keyOf(blob), storedAt: hidden?.storedAt });
      await expiry().restore(again as HiddenBlob, signal);
      await expectThere(backend, blob);
      // As long as it is held it is not hidden again.
      expect(await expiry().mayHide(keyOf(blob), soon(), signal)).toBe(false);
      expect(await expiry().hide(keyOf(blob), soon(), signal)).toBe(false);
      await expectThere(backend, blob);
    });

    test("one that somebody deletes is not brought back", async () => {
      const blob = randomBlob(size);
      await write(backend, blob);
      await backend.delete(keyOf(blob), signal);
      expect(await expiry().hide(keyOf(blob), soon(), signal)).toBe(false);
      expect(await hiddenBy(expiry(), blob)).toEqual([]);
      expect(await readWith(backend, blob)).toBeUndefined();
    });
  });

  test("the data of a hidden one is not taken for what an upload left", async () => {
    const blob = randomBlob(20_000_000);
    await write(backend, blob);
    await expiry().hide(keyOf(blob), soon(), signal);
    const uploading = backend.write(keyOf(blob), blob, failingAfter(blob.bytes.subarray(0, 10_000_000), 1_000_000), {
      signal,
      resumable: resumable(crypto.randomUUID()),
    });
    await expect(uploading).rejects.toThrow("the source failed");
    expect(await backend.sweep(soon(), signal)).toBe(1);
    const [hidden] = await hiddenBy(expiry(), blob);
    await expiry().restore(hidden as HiddenBlob, signal);
    await expectThere(backend, blob);
  });

  test("nor if the record of its own upload stayed", async () => {
    const blob = randomBlob(large);
    await write(backend, blob);
    const folder = `${prefix}data/${keyOf(blob)}/`;
    for await (const { name = "" } of client.listObjectsV2(world.bucket.options.bucket, folder, true)) {
      const upload = `${prefix}uploads/${keyOf(blob)}/${blob.hex}-${blob.sizeBytes}/${crypto.randomUUID()}`;
      const record = `${upload}/${name.slice(folder.length)}/${crypto.randomUUID()}`;
      await client.putObject(world.bucket.options.bucket, record, Buffer.alloc(0));
    }
    await expiry().hide(keyOf(blob), soon(), signal);
    await backend.sweep(soon(), signal);
    const [hidden] = await hiddenBy(expiry(), blob);
    await expiry().restore(hidden as HiddenBlob, signal);
    await expectThere(backend, blob);
  });
});
