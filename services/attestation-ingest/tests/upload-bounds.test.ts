import { DomainError } from "@attestry/service-kit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { createTestIngest, eventually, storeOne, type TestIngest, uploadOf, withWorker } from "./harness.ts";

let ingest: TestIngest;

beforeAll(async () => {
  ingest = await createTestIngest();
});
afterAll(() => ingest.destroy());
afterEach(async () => {
  ingest.gateway.recover();
  await ingest.database.query("delete from attestation");
});

describe("uploads to a backend", () => {
  test("a worker that began while the backend was away notices by a probe, though every row was put off", async () => {
    const backendId = ingest.run.useExternal();
    const runs = await Promise.all(Array.from({ length: 30 }, () => storeOne(ingest)));
    const putOff = `update upload set state = 'failing', attempts = 4, next_attempt_at = now() + interval '9 min'`;
    await ingest.database.query(putOff);
    ingest.gateway.breakDown();
    const tried = async () => {
      const text = "select count(*) filter (where attempts > 4)::int as n from upload where backend_id = $1";
      return (await ingest.database.query(text, [backendId])).rows[0].n;
    };
    await withWorker(ingest, async () => {
      // Fewer failures than stop the backend: it is probed all the same.
      await eventually(async () => (await tried()) > 0, "probed");
      expect(await tried()).toBe(1);
      ingest.gateway.recover();
      for (const runId of runs) {
        await eventually(async () => (await uploadOf(ingest, runId)).state === "confirmed", "due at once");
      }
    });
  });

  test("of a broken backend one row is tried for each probe interval", async () => {
    ingest.run.useExternal();
    await Promise.all(Array.from({ length: 30 }, () => storeOne(ingest)));
    let writes: number[] = [];
    ingest.gateway.beforeWrite = () => {
      writes.push(performance.now());
      throw new DomainError("BACKEND_UNAVAILABLE", "away");
    };
    await withWorker(ingest, async () => {
      await eventually(() => writes.length >= 3, "broken");
      await new Promise((resolve) => setTimeout(resolve, 200));
      writes = [];
      await new Promise((resolve) => setTimeout(resolve, 1_600));
      expect(writes.length).toBeGreaterThanOrEqual(2);
      expect(writes.length).toBeLessThanOrEqual(6);
    });
  });

  test("no more start in a second than may, for each backend, and no row waits for that under a lease", async () => {
    ingest.run.useExternal();
    await Promise.all(Array.from({ length: 25 }, () => storeOne(ingest)));
    const starts: number[] = [];
    ingest.gateway.beforeWrite = () => void starts.push(performance.now());
    const worker = await ingest.replica({ uploadsPerSecond: 10 });
    await worker.start();
    await eventually(() => starts.length >= 10, "the first second's");
    const held = await ingest.database.query("select from upload where lease_owner is not null");
    expect(held.rows.length).toBeLessThanOrEqual(10);
    await eventually(() => starts.length === 25, "all");
    await worker.stop();
    expect((starts.at(-1) ?? 0) - (starts[0] ?? 0)).toBeGreaterThan(1_200);
    const inFirstHalf = starts.filter((at) => at - (starts[0] ?? 0) < 500);
    expect(inFirstHalf.length).toBeLessThanOrEqual(16);
  });
});
