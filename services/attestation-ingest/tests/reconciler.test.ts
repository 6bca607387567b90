import { readFile } from "node:fs/promises";
import path from "node:path";
import { DomainError } from "@attestry/service-kit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { bundleOf, createTestIngest, digestOf, eventually, refusal, type TestIngest } from "./harness.ts";

let ingest: TestIngest;

beforeAll(async () => {
  ingest = await createTestIngest();
});
afterAll(() => ingest.destroy());
afterEach(async () => {
  ingest.run.beforeComplete = () => undefined;
  await ingest.database.query("delete from attestation");
});

/** A row whose Store died before Complete. */
async function unfinished(bundle = bundleOf()): Promise<string> {
  const runId = ingest.run.begin(ingest.organizationId);
  ingest.run.beforeComplete = () => {
    throw new DomainError("PEER_UNAVAILABLE", "away");
  };
  expect(await refusal(ingest.attestations.store({ runId, bundle }))).toBe("PEER_UNAVAILABLE");
  ingest.run.beforeComplete = () => undefined;
  return runId;
}

async function isVisible(runId: string): Promise<boolean | undefined> {
  const { rows } = await ingest.database.query("select visible from attestation where run_id = $1", [runId]);
  return rows[0]?.visible;
}

describe("the reconciler", () => {
  test("completes and shows what a dead Store left, removes what was cancelled, by two replicas at once", async () => {
    const finished = [await unfinished(), await unfinished(), await unfinished()];
    const cancelled = await unfinished();
    ingest.run.set(cancelled, "cancelled");
    const replicas = await Promise.all([ingest.replica({ role: "api" }), ingest.replica({ role: "api" })]);
    await Promise.all(replicas.map((replica) => replica.start()));
    await eventually(async () => (await isVisible(cancelled)) === undefined, "the cancelled run's row is gone");
    for (const runId of finished) await eventually(async () => (await isVisible(runId)) === true, "shown");
    expect(finished.map((runId) => ingest.run.runs.get(runId)?.state)).toEqual(["success", "success", "success"]);
    await Promise.all(replicas.map((replica) => replica.stop()));
  });

  test("keeps a row whose run is not found, and goes on with the others", async () => {
    const lost = await unfinished();
    const other = await unfinished();
    ingest.run.beforeComplete = ({ runId }) => {
      if (runId === lost) throw new DomainError("RUN_NOT_FOUND", "no such run");
    };
    const replica = await ingest.replica({ role: "api" });
    await replica.start();
    await eventually(async () => (await isVisible(other)) === true, "the other one is shown");
    expect(await isVisible(lost)).toBe(false);
    await replica.stop();
  });

  test("goes on behind rows that fail by themselves, however many, and counts them", async () => {
    const stubborn = new Set<string>();
    while (stubborn.size < 12) stubborn.add(await unfinished());
    const other = await unfinished();
    ingest.run.beforeComplete = ({ runId }) => {
      if (stubborn.has(runId)) throw new Error("a fault of this run alone");
    };
    const replica = await ingest.replica({ role: "api" });
    await replica.start();
    await eventually(async () => (await isVisible(other)) === true, "the other one is shown");
    for (const runId of stubborn) expect(await isVisible(runId)).toBe(false);
    const left = { outcome: "left" };
    expect(await replica.metric("attestry_ingest_reconciled_total", left)).toBeGreaterThanOrEqual(stubborn.size);
    await replica.stop();
  });

  test("ends the round while the run service is away", async () => {
    for (let n = 0; n < 12; n++) await unfinished();
    const before = ingest.run.calls.complete;
    ingest.run.beforeComplete = () => {
      throw new DomainError("PEER_UNAVAILABLE", "away");
    };
    const replica = await ingest.replica({ role: "api", reconcileMs: 60_000 });
    await replica.start();
    await eventually(() => ingest.run.calls.complete > before, "asked");
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(ingest.run.calls.complete - before).toBe(10);
    await replica.stop();
  });

  test("goes by the clock of the database, not by that of the process that stored", async () => {
    const runId = await unfinished();
    await ingest.database.query("update attestation set received_at = now() + interval '1 hour' where run_id = $1", [
      runId,
    ]);
    const replica = await ingest.replica({ role: "api" });
    await replica.start();
    await eventually(async () => (await isVisible(runId)) === true, "shown");
    await replica.stop();
  });

  test("leaves a young row to its Store", async () => {
    const runId = await unfinished();
    const replica = await ingest.replica({ role: "api", reconcileAfterMs: 60_000 });
    await replica.start();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await isVisible(runId)).toBe(false);
    await replica.stop();
  });

  test("sets marks again that the database lost", async () => {
    const runId = ingest.run.begin(ingest.organizationId);
    await ingest.attestations.store({ runId, bundle: bundleOf() });
    await ingest.database.query("update attestation set visible = false where run_id = $1", [runId]);
    const replica = await ingest.replica({ role: "api" });
    await replica.start();
    await eventually(async () => (await isVisible(runId)) === true, "shown again");
    await replica.stop();
  });
});

/** The statements that docs/backup.md gives for after a restore; each block is one step. */
async function stepsOfRestore(): Promise<string[]> {
  const page = await readFile(path.resolve(import.meta.dirname, "../../../docs/backup.md"), "utf8");
  return Array.from(page.matchAll(/^```sql\n(.*?)^```$/gms), ([, block = ""]) => block);
}

describe("after a restore of a workflow-run that is older than this database", () => {
  test("runs follow their attestations by the steps in docs/backup.md, and none is lost", async () => {
    const behind = ingest.run.begin(ingest.organizationId);
    const unknown = ingest.run.begin(ingest.organizationId);
    const settled = ingest.run.begin(ingest.organizationId);
    const old = ingest.run.begin(ingest.organizationId);
    for (const runId of [behind, unknown, settled, old]) await ingest.attestations.store({ runId, bundle: bundleOf() });
    await ingest.database.query("update attestation set stored_at = '2020-01-01' where run_id = $1", [old]);
    const neverAnswered = await unfinished();
    ingest.run.set(behind, "initialized");
    for (const runId of [unknown, neverAnswered]) ingest.run.runs.delete(runId);

    const [before = "", after = "", ...more] = await stepsOfRestore();
    expect(more).toEqual([]);
    const inTime = before.replace(/timestamptz '.*?'/, "timestamptz '2020-01-02'");
    await ingest.database.query(inTime);
    for (const runId of [behind, unknown, settled]) expect(await isVisible(runId)).toBe(false);
    expect(await isVisible(old)).toBe(true);

    const replica = await ingest.replica({ role: "api" });
    await replica.start();
    for (const runId of [behind, settled])
      await eventually(async () => (await isVisible(runId)) === true, "shown again");
    expect(ingest.run.runs.get(behind)?.state).toBe("success");
    expect(await isVisible(unknown)).toBe(false);

    await ingest.database.query(after);
    expect(await isVisible(unknown)).toBe(true);
    expect(await isVisible(neverAnswered)).toBe(false);
    await replica.stop();
  });
});

describe("Get of a row without its mark", () => {
  test("asks the run service: a success is shown", async () => {
    const runId = await unfinished();
    const read = await ingest.attestations.get({ by: { case: "runId", value: runId } });
    expect(read.attestation?.runId).toBe(runId);
    expect(await isVisible(runId)).toBe(true);
  });

  test("by digest: an older row whose run is a success is found behind cancelled ones", async () => {
    const bundle = bundleOf();
    const good = await unfinished(bundle);
    const cancelled = [await unfinished(bundle), await unfinished(bundle)];
    for (const runId of cancelled) ingest.run.set(runId, "cancelled");
    const read = await ingest.attestations.get({ by: { case: "digest", value: digestOf(bundle) } });
    expect(read.attestation?.runId).toBe(good);
    for (const runId of cancelled) expect(await isVisible(runId)).toBeUndefined();
  });

  test("a cancelled run has no attestation", async () => {
    const runId = await unfinished();
    ingest.run.set(runId, "cancelled");
    const get = ingest.attestations.get({ by: { case: "runId", value: runId } });
    expect(await refusal(get)).toBe("ATTESTATION_NOT_FOUND");
    expect(await isVisible(runId)).toBeUndefined();
  });
});
