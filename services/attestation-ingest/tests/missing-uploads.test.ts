import { StorageMode } from "@attestry/api/run";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { createTestIngest, eventually, storeOne, type TestIngest } from "./harness.ts";

let ingest: TestIngest;

beforeAll(async () => {
  ingest = await createTestIngest();
});
afterAll(() => ingest.destroy());
afterEach(async () => {
  ingest.run.storageMode = StorageMode.UNSPECIFIED;
  await ingest.database.query("delete from attestation");
});

async function uploadsOf(runId: string): Promise<{ state: string }[]> {
  return (await ingest.database.query("select state from upload where run_id = $1", [runId])).rows;
}

const requeued = (replica: TestIngest) => replica.metric("attestry_ingest_reconciled_total", { outcome: "requeued" });

describe("an attestation whose upload is missing", () => {
  test("gets it again, once by two replicas, and others are left alone", async () => {
    const inline = await storeOne(ingest);
    ingest.run.useExternal();
    const lost = await Promise.all(Array.from({ length: 20 }, () => storeOne(ingest)));
    const ofOlderBuild = await storeOne(ingest);
    await ingest.database.query("delete from upload");
    await ingest.database.query("update attestation set external = null where run_id = $1", [ofOlderBuild]);
    const givenUp = await storeOne(ingest);
    await ingest.database.query("update upload set state = 'given_up'");

    const replicas = await Promise.all([ingest.replica({ role: "api" }), ingest.replica({ role: "api" })]);
    await Promise.all(replicas.map((replica) => replica.start()));
    for (const runId of lost) await eventually(async () => (await uploadsOf(runId)).length > 0, "written anew");
    await new Promise((resolve) => setTimeout(resolve, 200));
    for (const runId of lost) expect(await uploadsOf(runId)).toEqual([{ state: "pending" }]);
    expect(await uploadsOf(inline)).toEqual([]);
    expect(await uploadsOf(ofOlderBuild)).toEqual([]);
    expect(await uploadsOf(givenUp)).toEqual([{ state: "given_up" }]);
    const counts = await Promise.all(replicas.map(requeued));
    expect(counts.reduce((sum, count) => sum + count)).toBe(lost.length);
    await Promise.all(replicas.map((replica) => replica.stop()));
  });

  test("of an older build is known to be external by its mode, is uploaded, and its bytes leave the row", async () => {
    ingest.run.storageMode = StorageMode.SPOOL;
    ingest.run.useExternal();
    const runId = await storeOne(ingest);
    await ingest.database.query("delete from upload");
    await ingest.database.query("update attestation set external = null");
    const replica = await ingest.replica();
    await replica.start();
    await eventually(async () => (await uploadsOf(runId))[0]?.state === "confirmed", "uploaded");
    await eventually(async () => (await replica.metric("attestry_ingest_pruned_total")) === 1, "pruned and counted");
    const { rows } = await ingest.database.query("select bundle from attestation where run_id = $1", [runId]);
    expect(rows).toEqual([{ bundle: null }]);
    await replica.stop();
  });
});
