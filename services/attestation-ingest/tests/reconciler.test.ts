import { DomainError } from "@attestry/service-kit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { bundleOf, createTestIngest, eventually, refusal, type TestIngest } from "./harness.ts";

let ingest: TestIngest;

beforeAll(async () => {
  ingest = await createTestIngest();
});
afterAll(() => ingest.destroy());
afterEach(() => {
  ingest.run.beforeComplete = () => undefined;
});

/** A row whose Store died before Complete. */
async function unfinished(): Promise<string> {
  const runId = ingest.run.begin(ingest.organizationId);
  ingest.run.beforeComplete = () => {
    throw new DomainError("PEER_UNAVAILABLE", "away");
  };
  expect(await refusal(ingest.attestations.store({ runId, bundle: bundleOf() }))).toBe("PEER_UNAVAILABLE");
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

describe("Get of a row without its mark", () => {
  test("asks the run service: a success is shown", async () => {
    const runId = await unfinished();
    const read = await ingest.attestations.get({ by: { case: "runId", value: runId } });
    expect(read.attestation?.runId).toBe(runId);
    expect(await isVisible(runId)).toBe(true);
  });

  test("a cancelled run has no attestation", async () => {
    const runId = await unfinished();
    ingest.run.set(runId, "cancelled");
    const get = ingest.attestations.get({ by: { case: "runId", value: runId } });
    expect(await refusal(get)).toBe("ATTESTATION_NOT_FOUND");
    expect(await isVisible(runId)).toBeUndefined();
  });
});
