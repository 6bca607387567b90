import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { type ClaimOptions, Uploads } from "../src/db/uploads.ts";
import { createTestIngest, eventually, storeOne, type TestIngest, uploadOf, withWorker } from "./harness.ts";

let ingest: TestIngest;
let uploads: Uploads;
beforeAll(async () => {
  ingest = await createTestIngest({ uploadConcurrency: 16 });
  uploads = new Uploads(ingest.database);
});
afterAll(() => ingest.destroy());
beforeEach(() => ingest.database.query("delete from attestation"));

/** A backend with so many uploads that are due. */
async function backendWith(count: number): Promise<string> {
  const backendId = ingest.run.useExternal();
  for (let n = 0; n < count; n++) await storeOne(ingest);
  return backendId;
}

/** How many a worker with 16 places gets of each of the backends. */
async function claimed(backends: string[], options: Partial<ClaimOptions> = {}): Promise<number[]> {
  const worker = { owner: randomUUID(), leaseMs: 60_000, limit: 16, reserved: 2, perBackend: 8, probe: false };
  const rows = await uploads.claim({ ...worker, probeMs: 60_000, rooms: [], ...options });
  return backends.map((backend) => rows.filter(({ backendId }) => backendId === backend).length);
}

describe("places are shared among backends", () => {
  test("alike, whatever each has", async () => {
    const backends = [await backendWith(20), await backendWith(20), await backendWith(1)];
    expect(await claimed(backends)).toEqual([4, 4, 1]);
  });

  test("and one alone has as many as one may have", async () => {
    expect(await claimed([await backendWith(20)])).toEqual([8]);
  });

  test("the last ones are for those with nothing under way", async () => {
    const backends = [await backendWith(20), await backendWith(20), await backendWith(5)];
    const rooms = backends.slice(0, 2).map((backendId) => ({ backendId, room: 1, probe: false, underWay: 7 }));
    expect(await claimed(backends, { limit: 2, rooms })).toEqual([0, 0, 1]);
  });

  test("one is free: it goes to one that has none", async () => {
    const backends = [await backendWith(9), await backendWith(9)];
    const rooms = [{ backendId: backends[0] ?? "", room: 5, probe: false, underWay: 3 }];
    expect(await claimed(backends, { limit: 1, reserved: 0, rooms })).toEqual([0, 1]);
  });
});

test("two backends that hang do not keep a third waiting", async () => {
  await backendWith(12);
  await backendWith(12);
  const third = ingest.run.useExternal();
  const runId = await storeOne(ingest);
  const hang = Promise.withResolvers<void>();
  ingest.gateway.beforeWrite = async (key) => {
    if (!key.startsWith(third)) await hang.promise;
  };
  try {
    await withWorker(ingest, async () => {
      await eventually(async () => (await uploadOf(ingest, runId)).state === "confirmed", "confirmed meanwhile");
      hang.resolve();
    });
  } finally {
    hang.resolve();
    ingest.gateway.recover();
  }
});

test("what waited for days without a try is not given up at its first failure", async () => {
  await backendWith(1);
  await ingest.database.query("update upload set trying_since = now() - interval '8 days'");
  ingest.gateway.breakDown();
  const uploaded = async () =>
    (
      await ingest.database.query(
        "select state, attempts, trying_since > now() - interval '1 minute' as fresh from upload",
      )
    ).rows[0];
  await withWorker(ingest, () => eventually(async () => (await uploaded()).attempts === 1, "tried"));
  expect(await uploaded()).toMatchObject({ state: "failing", fresh: true });
});
