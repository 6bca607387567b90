import { canMount, describeWith } from "@attestry/dev-env";
import { afterAll, expect, jest, test } from "@jest/globals";
import { diskFull } from "./src/disk-full.ts";
import { type Outcome, violationsOf } from "./src/experiment.ts";
import { closingTable } from "./src/report.ts";
import { storageAway } from "./src/storage-away.ts";

jest.setTimeout(300_000);

const outcomes: Outcome[] = [];

afterAll(() => {
  process.stderr.write(`faults of storage\n${closingTable(outcomes)}\n`);
});

describeWith(
  ["redis", "minio"],
  "an object store that is away until every call that met it has ended, under load",
  () => {
    test("with the database, Stores go on as if nothing was, and all is uploaded later", async () => {
      const outcome = await storageAway("false");
      outcomes.push(outcome);
      expect(violationsOf(outcome)).toEqual([]);
      expect(outcome.during).toMatchObject({ errors: [], outlasted: 0 });
      expect(outcome.during.ok).toBeGreaterThan(10);
    });

    test("with the store alone, a Store says why it cannot, and a retry ends well", async () => {
      const outcome = await storageAway("true");
      outcomes.push(outcome);
      expect(violationsOf(outcome)).toEqual([]);
      expect(outcome.during).toMatchObject({ ok: 0, outlasted: 0 });
      expect(outcome.during.errors.length).toBeGreaterThan(0);
      for (const error of outcome.during.errors) expect(error).toMatch(/could not be uploaded: |deadline/);
    });
  },
);

describeWith(["redis"], "a volume that is full, under load", () => {
  const testWithVolume = canMount() ? test : test.skip;
  testWithVolume(
    "with the database, Stores go on, uploads wait and say why, and all is uploaded when there is space",
    async () => {
      const outcome = await diskFull("false");
      outcomes.push(outcome);
      expect(violationsOf(outcome)).toEqual([]);
      expect(outcome.during.errors).toEqual([]);
      expect(outcome.during.ok).toBeGreaterThan(10);
      expect(outcome.waiting.length).toBeGreaterThan(0);
      for (const error of outcome.waiting) expect(error).toMatch(/no space left/);
    },
  );

  testWithVolume("with the store alone, a Store says that it is full, and a retry ends well", async () => {
    const outcome = await diskFull("true");
    outcomes.push(outcome);
    expect(violationsOf(outcome)).toEqual([]);
    expect(outcome.during).toMatchObject({ ok: 0 });
    expect(outcome.during.errors.length).toBeGreaterThan(0);
    for (const error of outcome.during.errors)
      expect(error).toMatch(/could not be uploaded: backend local: .*no space left/);
  });
});
