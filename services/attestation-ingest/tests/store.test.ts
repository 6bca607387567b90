import { Mode, UploadState } from "@attestry/api/ingest";
import { StorageMode } from "@attestry/api/run";
import { DomainError } from "@attestry/service-kit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { bundleOf, createTestIngest, digestOf, refusal, type TestIngest } from "./harness.ts";

let ingest: TestIngest;

beforeAll(async () => {
  ingest = await createTestIngest();
});
afterAll(() => ingest.destroy());
afterEach(() => {
  ingest.run.beforePlan = () => undefined;
  ingest.run.beforeComplete = () => undefined;
  ingest.run.storageMode = StorageMode.UNSPECIFIED;
  ingest.gateway.recover();
});

function begin(): string {
  return ingest.run.begin(ingest.organizationId);
}

async function rowOf(runId: string) {
  const { rows } = await ingest.database.query("select * from attestation where run_id = $1", [runId]);
  return rows[0];
}

describe("Store", () => {
  test("keeps the bytes exactly, completes the run and shows the attestation", async () => {
    const runId = begin();
    const bundle = bundleOf();
    const stored = await ingest.attestations.store({ runId, bundle });
    expect(stored).toMatchObject({ runId, digest: digestOf(bundle), mode: Mode.DATABASE, upload: UploadState.NONE });
    expect(ingest.run.runs.get(runId)).toMatchObject({ state: "success", digest: digestOf(bundle) });
    expect(await rowOf(runId)).toMatchObject({ visible: true, mode: "database" });
    const read = await ingest.attestations.get({ by: { case: "runId", value: runId } });
    expect(Buffer.compare(read.bundle, bundle)).toBe(0);
    expect(read.attestation).toMatchObject({ runId, project: "shop", workflow: "release", mode: Mode.DATABASE });
  });

  test("again with the same bytes answers the same, even when the run would get no plan any more", async () => {
    const runId = begin();
    const bundle = bundleOf();
    const first = await ingest.attestations.store({ runId, bundle });
    ingest.run.beforePlan = () => {
      throw new DomainError("RUN_EXPIRED", "too late");
    };
    expect(await ingest.attestations.store({ runId, bundle })).toEqual(first);
    const { rows } = await ingest.database.query("select count(*)::int as n from attestation where run_id = $1", [
      runId,
    ]);
    expect(rows[0].n).toBe(1);
  });

  test("of other bytes for a run that has some is refused", async () => {
    const runId = begin();
    await ingest.attestations.store({ runId, bundle: bundleOf() });
    const before = await ingest.snapshot();
    expect(await refusal(ingest.attestations.store({ runId, bundle: bundleOf() }))).toBe("RUN_HAS_OTHER_ATTESTATION");
    expect(await ingest.snapshot()).toEqual(before);
  });

  test("50 at once of the same bytes for one run: all OK, one row", async () => {
    const runId = begin();
    const bundle = bundleOf();
    const answers = await Promise.all(Array.from({ length: 50 }, () => ingest.attestations.store({ runId, bundle })));
    expect(new Set(answers.map((answer) => answer.digest)).size).toBe(1);
    const { rows } = await ingest.database.query("select visible from attestation where run_id = $1", [runId]);
    expect(rows).toEqual([{ visible: true }]);
  });

  test("50 at once of different bytes for one run: one wins, the others hear of it", async () => {
    const runId = begin();
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => refusal(ingest.attestations.store({ runId, bundle: bundleOf() }))),
    );
    expect(answers.filter((reason) => reason === undefined)).toHaveLength(1);
    expect(answers.filter((reason) => reason === "RUN_HAS_OTHER_ATTESTATION")).toHaveLength(49);
    expect(ingest.run.runs.get(runId)?.digest).toBe(digestOf((await rowOf(runId)).bundle));
  });

  test("one digest for many runs is fine; by digest, the latest run's is read", async () => {
    const bundle = bundleOf();
    const runs = [begin(), begin(), begin()];
    for (const runId of runs) await ingest.attestations.store({ runId, bundle });
    const read = await ingest.attestations.get({ by: { case: "digest", value: digestOf(bundle) } });
    expect(read.attestation?.runId).toBe(runs[2]);
  });

  test("a subject that comes twice is indexed once", async () => {
    const subject = { name: "app", digest: { sha256: "b".repeat(64) } };
    const bundle = bundleOf({ subjects: [subject, subject] });
    await Promise.all([begin(), begin()].map((runId) => ingest.attestations.store({ runId, bundle })));
    const { rows } = await ingest.database.query(
      "select count(*)::int as n from attestation_subject where digest_key = $1",
      [`sha256:${"b".repeat(64)}`],
    );
    expect(rows[0].n).toBe(2);
  });
});

describe("when a step fails", () => {
  test("Complete is away: UNAVAILABLE, the row stays unseen, and a retry is OK", async () => {
    const runId = begin();
    const bundle = bundleOf();
    ingest.run.beforeComplete = () => {
      throw new DomainError("PEER_UNAVAILABLE", "away", { retryAfterMs: 100 });
    };
    expect(await refusal(ingest.attestations.store({ runId, bundle }))).toBe("PEER_UNAVAILABLE");
    expect(await rowOf(runId)).toMatchObject({ visible: false });
    const listed = await ingest.attestations.list({ pageSize: 200 });
    expect(listed.attestations.some((attestation) => attestation.runId === runId)).toBe(false);

    ingest.run.beforeComplete = () => undefined;
    expect(await ingest.attestations.store({ runId, bundle })).toMatchObject({ digest: digestOf(bundle) });
    expect(await rowOf(runId)).toMatchObject({ visible: true });
  });

  test("the answer of Complete is lost: a retry is OK", async () => {
    const runId = begin();
    const bundle = bundleOf();
    ingest.run.beforeComplete = ({ digest }) => {
      const run = ingest.run.runs.get(runId);
      if (run !== undefined) Object.assign(run, { state: "success", digest });
      throw new DomainError("PEER_UNAVAILABLE", "the connection broke");
    };
    expect(await refusal(ingest.attestations.store({ runId, bundle }))).toBe("PEER_UNAVAILABLE");
    ingest.run.beforeComplete = () => undefined;
    await ingest.attestations.store({ runId, bundle });
    expect(await rowOf(runId)).toMatchObject({ visible: true });
  });

  test("the run is cancelled between plan and Complete: refused, and the row goes", async () => {
    const runId = begin();
    ingest.run.beforeComplete = () => ingest.run.set(runId, "cancelled");
    expect(await refusal(ingest.attestations.store({ runId, bundle: bundleOf() }))).toBe("RUN_CANCELLED");
    expect(await rowOf(runId)).toBeUndefined();
  });

  test("a run that expires after its plan was given still completes", async () => {
    const runId = begin();
    ingest.run.beforeComplete = () => ingest.run.set(runId, "expired");
    await ingest.attestations.store({ runId, bundle: bundleOf() });
    expect(ingest.run.runs.get(runId)?.state).toBe("success");
  });

  test("the run is not found at Complete: the row is kept", async () => {
    const runId = begin();
    ingest.run.beforeComplete = () => {
      throw new DomainError("RUN_NOT_FOUND", "no such run");
    };
    expect(await refusal(ingest.attestations.store({ runId, bundle: bundleOf() }))).toBe("RUN_NOT_FOUND");
    expect(await rowOf(runId)).toMatchObject({ visible: false });
  });

  test("the plan is away: UNAVAILABLE, and nothing is stored", async () => {
    const runId = begin();
    ingest.run.beforePlan = () => {
      throw new DomainError("PEER_UNAVAILABLE", "away");
    };
    expect(await refusal(ingest.attestations.store({ runId, bundle: bundleOf() }))).toBe("PEER_UNAVAILABLE");
    expect(await rowOf(runId)).toBeUndefined();
  });
});

describe("with an external backend", () => {
  test("database: answers at once, and the upload is queued in the same statement", async () => {
    const backendId = ingest.run.useExternal();
    const runId = begin();
    const stored = await ingest.attestations.store({ runId, bundle: bundleOf() });
    expect(stored).toMatchObject({ mode: Mode.DATABASE, upload: UploadState.PENDING });
    const { rows } = await ingest.database.query("select state, backend_id from upload where run_id = $1", [runId]);
    expect(rows).toEqual([{ state: "pending", backend_id: backendId }]);
  });

  test("a refused run leaves an intent at the backend", async () => {
    const backendId = ingest.run.useExternal();
    const runId = begin();
    const bundle = bundleOf();
    ingest.run.beforeComplete = () => ingest.run.set(runId, "cancelled");
    expect(await refusal(ingest.attestations.store({ runId, bundle }))).toBe("RUN_CANCELLED");
    const intents = await ingest.database.query("select state, digest from intent where backend_id = $1", [backendId]);
    expect(intents.rows).toEqual([{ state: "idle", digest: Buffer.from(digestOf(bundle).slice(7), "hex") }]);
    const uploads = await ingest.database.query("select from upload where run_id = $1", [runId]);
    expect(uploads.rowCount).toBe(0);
  });

  test("cas: the bytes are in the backend before the answer, never in the database, and no intent is left", async () => {
    ingest.run.storageMode = StorageMode.CAS;
    const backendId = ingest.run.useExternal();
    const runId = begin();
    const bundle = bundleOf({ pad: 3 * 1024 * 1024 });
    const stored = await ingest.attestations.store({ runId, bundle });
    expect(stored).toMatchObject({ mode: Mode.CAS, upload: UploadState.CONFIRMED });
    const blob = ingest.gateway.blobs.get(`${backendId}:${digestOf(bundle)}`);
    expect(blob?.equals(bundle)).toBe(true);
    expect(await rowOf(runId)).toMatchObject({ bundle: null, visible: true });
    expect((await ingest.database.query("select from intent where backend_id = $1", [backendId])).rowCount).toBe(0);
    const read = await ingest.attestations.get({ by: { case: "runId", value: runId } });
    expect(Buffer.compare(read.bundle, bundle)).toBe(0);
  });

  test("cas with the CAS down: UNAVAILABLE, no row, an intent for gc; then a retry is OK", async () => {
    ingest.run.storageMode = StorageMode.CAS;
    const backendId = ingest.run.useExternal();
    const runId = begin();
    const bundle = bundleOf();
    ingest.gateway.breakDown();
    expect(await refusal(ingest.attestations.store({ runId, bundle }))).toBe("CAS_UNAVAILABLE");
    expect(await rowOf(runId)).toBeUndefined();
    expect((await ingest.database.query("select from intent where backend_id = $1", [backendId])).rowCount).toBe(1);
    ingest.gateway.recover();
    await ingest.attestations.store({ runId, bundle });
    expect((await ingest.database.query("select from intent where backend_id = $1", [backendId])).rowCount).toBe(0);
  });

  test("cas with a gateway that hangs: UNAVAILABLE within the deadline", async () => {
    const impatient = await ingest.replica({ casDeadlineMs: 200 });
    ingest.run.storageMode = StorageMode.CAS;
    ingest.run.useExternal();
    ingest.gateway.beforeWrite = () => new Promise((resolve) => setTimeout(resolve, 1_000));
    const began = Date.now();
    expect(await refusal(impatient.attestations.store({ runId: begin(), bundle: bundleOf() }))).toBe("CAS_UNAVAILABLE");
    expect(Date.now() - began).toBeLessThan(900);
  });

  test("cas while gc is at the digest: UNAVAILABLE, nothing is uploaded", async () => {
    ingest.run.storageMode = StorageMode.CAS;
    const backendId = ingest.run.useExternal();
    const bundle = bundleOf();
    await ingest.database.query(
      `insert into intent (organization_id, backend_id, digest, state, gc_owner, gc_until)
       values ($1, $2, $3, 'deleting', gen_random_uuid(), now() + interval '5 min')`,
      [ingest.organizationId, backendId, Buffer.from(digestOf(bundle).slice(7), "hex")],
    );
    const writes = ingest.gateway.calls.write;
    expect(await refusal(ingest.attestations.store({ runId: begin(), bundle }))).toBe("GC_UNDER_WAY");
    expect(ingest.gateway.calls.write).toBe(writes);
  });

  test("cas, cancelled between plan and Complete: the row goes and leaves an intent for its blob", async () => {
    ingest.run.storageMode = StorageMode.CAS;
    const backendId = ingest.run.useExternal();
    const runId = begin();
    ingest.run.beforeComplete = () => ingest.run.set(runId, "cancelled");
    expect(await refusal(ingest.attestations.store({ runId, bundle: bundleOf() }))).toBe("RUN_CANCELLED");
    expect(await rowOf(runId)).toBeUndefined();
    expect((await ingest.database.query("select from intent where backend_id = $1", [backendId])).rowCount).toBe(1);
  });

  test("spool: answers at once with the bytes in the row", async () => {
    ingest.run.storageMode = StorageMode.SPOOL;
    ingest.run.useExternal();
    const runId = begin();
    const bundle = bundleOf();
    const stored = await ingest.attestations.store({ runId, bundle });
    expect(stored).toMatchObject({ mode: Mode.SPOOL, upload: UploadState.PENDING });
    expect((await rowOf(runId)).bundle.equals(bundle)).toBe(true);
  });
});
