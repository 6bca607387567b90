import { describeWith } from "@attestry/dev-env";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { Backend } from "../src/backends/backend.ts";
import { expiredKeyOf } from "../src/backends/s3-expired-records.ts";
import { S3Expiry } from "../src/backends/s3-expiry.ts";
import { randomBlob } from "./blobs.ts";
import { keyOf, readWith } from "./contract/subject.ts";
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
import { startFaultyStore } from "./faulty-store.ts";

const { signal } = new AbortController();

describeWith(["minio"], "a deletion in a bucket that is late", () => {
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

  describe.each([1_000, 9_000_000])("of %d bytes", (size) => {
    describe.each([0, 305_000])("%d ms after the old one was recorded", (gapMs) => {
      const late = (meet: Meeting) => meeting({ ...meet, gapMs });

      test("a deletion that was held up meets a new one, which is seen again", async () => {
        const blob = randomBlob(size);
        await write(backend, blob);
        const racing = late({ deletion: async () => void (await write(backend, blob)) });
        expect(await racing.hide(keyOf(blob), soon(), signal)).toBe(false);
        await expectThere(backend, blob);
      });

      test("also if the sweep died there, and even if it arrives after another sweep", async () => {
        const blob = randomBlob(size);
        await write(backend, blob);
        const arrives = async () => {
          await write(backend, blob);
          expect(await hiddenBy(late({}), blob)).toEqual([]);
        };
        const dying = late({ deletion: arrives, deleted: dies });
        await expect(dying.hide(keyOf(blob), soon(), signal)).rejects.toThrow("it died");
        expect(await readWith(backend, blob)).toBeUndefined();
        expect(await hiddenBy(late({}), blob)).toEqual([]);
        await expectThere(backend, blob);
        expect(await hiddenBy(later(), blob)).toEqual([]);
        await expectThere(backend, blob);
        expect(await world.versions(expiredKeyOf(keyOf(blob)))).toEqual([]);
      });
    });

    test("somebody else's deletion of the old one is not taken for it", async () => {
      const blob = randomBlob(size);
      await write(backend, blob);
      const deletion = async () => {
        await backend.delete(keyOf(blob), signal);
        await write(backend, blob);
      };
      await meeting({ deletion }).hide(keyOf(blob), soon(), signal);
      await expectThere(backend, blob);
    });

    test("of two sweeps at once one deletes", async () => {
      const blob = randomBlob(size);
      await write(backend, blob);
      const recording = async () => expect(await expiry().hide(keyOf(blob), soon(), signal)).toBe(true);
      expect(await meeting({ recording }).hide(keyOf(blob), soon(), signal)).toBe(false);
      expect((await world.versions(keyOf(blob))).filter(({ isMarker }) => isMarker)).toHaveLength(1);
    });

    test("nothing is deleted long after the record, nor is a deletion sent twice", async () => {
      const blob = randomBlob(size);
      await write(backend, blob);
      let deletions = 0;
      const now = performance.now.bind(performance);
      const clock = jest.spyOn(performance, "now");
      const stopped = meeting({
        deletion: async () => void deletions++,
        recorded: () => clock.mockImplementation(() => now() + 61_000),
      });
      expect(await stopped.hide(keyOf(blob), soon(), signal)).toBe(false);
      clock.mockRestore();
      expect(deletions).toBe(0);
      await expectThere(backend, blob);
      expect(await hiddenBy(later(), blob)).toEqual([]);

      const faulty = await startFaultyStore(world.bucket.options.endpoint.href);
      faulty.fate = (line) => (line.startsWith("DELETE") ? "lose" : "pass");
      const unheard = new S3Expiry(world.open({ endpoint: faulty.endpoint }), prefix);
      await expect(unheard.hide(keyOf(blob), soon(), signal)).rejects.toThrow("the object store answered");
      expect(faulty.seen.filter(({ line }) => line.startsWith("DELETE"))).toHaveLength(1);
      await faulty.close();
      // It was done, and is known by its record.
      expect(await hiddenBy(expiry(), blob)).toHaveLength(1);
    });
  });
});
