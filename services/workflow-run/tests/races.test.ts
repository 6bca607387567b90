import { RunState } from "@attestry/api/run";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { expireRuns } from "../src/runs/expirer.ts";
import { refusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

const digest = `sha256:${"ab".repeat(32)}`;
const other = `sha256:${"cd".repeat(32)}`;
const never = new AbortController().signal;
const many = <T>(count: number, call: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => call(index)));

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

describe("who comes at once", () => {
  test("50 callers of find-or-create get one workflow, and one of them created it", async () => {
    const { ci } = await harness.organization("find");
    const answers = await many(50, () => ci.workflows.findOrCreate({ project: "p", name: "w" }));
    expect(new Set(answers.map(({ workflow }) => workflow?.id)).size).toBe(1);
    expect(answers.filter(({ created }) => created)).toHaveLength(1);
  });

  test("50 runs of a workflow that is not there yet share it", async () => {
    const { ci, reader } = await harness.organization("start");
    const answers = await many(50, () => ci.runs.create({ project: "p", workflow: "w" }));
    expect(new Set(answers.map(({ run }) => run?.id)).size).toBe(50);
    expect(new Set(answers.map(({ run }) => run?.workflowId)).size).toBe(1);
    expect((await reader.workflows.list({})).workflows).toHaveLength(1);
  });

  test("50 retries with one idempotency key get one run; for another workflow they are refused", async () => {
    const { ci, reader } = await harness.organization("keys");
    const answers = await many(50, (index) =>
      ci.runs.create({ project: "p", workflow: index % 5 === 0 ? "v" : "w", idempotencyKey: "k" }).then(
        ({ run }) => `${run?.workflow} ${run?.id}`,
        async (error: unknown) => (await refusal(Promise.reject(error as Error))).reason,
      ),
    );
    const kinds = new Set(answers);
    expect(kinds.size).toBe(2);
    expect(kinds).toContain("IDEMPOTENCY_KEY_REUSED");
    expect((await reader.runs.list({})).runs).toHaveLength(1);
  });

  test("of Complete and Cancel exactly one wins, and the loser is told", async () => {
    const { ci, reader, id: organizationId } = await harness.organization("ends");
    const outcomes = await many(40, async () => {
      const { run } = await ci.runs.create({ project: "p", workflow: "w" });
      const runId = run?.id ?? "";
      const planGivenAt = timestampFromDate(new Date());
      const complete = () => harness.ingest.runs.complete({ organizationId, runId, digest, planGivenAt });
      const [completed, cancelled] = await Promise.allSettled([complete(), ci.runs.cancel({ runId })]);
      const { state } = (await reader.runs.get({ by: { case: "runId", value: runId } })).run ?? {};
      const ends = `${completed.status} ${cancelled.status} ${state}`;
      return [ends, completed.status === "rejected" ? (await refusal(complete())).reason : ""].join(" ");
    });
    const wins = `fulfilled rejected ${RunState.SUCCESS} `;
    const loses = `rejected fulfilled ${RunState.CANCELLED} RUN_CANCELLED`;
    expect(outcomes.filter((outcome) => outcome !== wins && outcome !== loses)).toEqual([]);
  });

  test("of two attestations for a run one is kept", async () => {
    const { ci, id: organizationId } = await harness.organization("digests");
    const { run } = await ci.runs.create({ project: "p", workflow: "w" });
    const ask = { organizationId, runId: run?.id ?? "", planGivenAt: timestampFromDate(new Date()) };
    const answers = await Promise.allSettled(
      [digest, other].map((value) => harness.ingest.runs.complete({ ...ask, digest: value })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  test("default backends stay one", async () => {
    const { admin } = await harness.organization("defaults");
    await many(6, (index) =>
      admin.backends.create({ name: `b${index}`, provider: 2, secretRef: `x${index}`, isDefault: true }),
    );
    await many(12, (index) => admin.backends.update({ name: `b${index % 6}`, isDefault: true }));
    const { backends } = await admin.backends.list({});
    expect(backends.filter(({ isDefault }) => isDefault)).toHaveLength(1);
  });

  test("revocations are each told once, in an order that skips none", async () => {
    const { admin } = await harness.organization("revokes");
    const names = Array.from({ length: 20 }, (_, index) => `t${index}`);
    const made = await Promise.all(names.map((name) => admin.tokens.create({ name, role: 3 })));
    const told: string[] = [];
    let cursor = (await harness.ingest.tokens.listRevoked({})).nextCursor;
    let done = false;
    const revoking = Promise.all(names.map((token) => admin.tokens.revoke({ token }))).finally(() => {
      done = true;
    });
    for (let last = false; !last; ) {
      last = done;
      const page = await harness.ingest.tokens.listRevoked({ cursor });
      told.push(...page.tokenIds);
      cursor = page.nextCursor;
    }
    await revoking;
    const expected = made.map(({ token }) => token?.id);
    expect(told).toHaveLength(expected.length);
    expect(new Set(told)).toEqual(new Set(expected));
  });
});

describe("expiry", () => {
  const hour = 3_600_000;
  const age = (runIds: string[], milliseconds: number) =>
    harness.pool.query("update run set started_at = now() - $2 * interval '1 millisecond' where id = any($1::uuid[])", [
      runIds,
      milliseconds,
    ]);

  test("ends each overdue run once, whichever of three replicas does, and no other", async () => {
    const { ci, reader } = await harness.organization("expiry");
    const { run: old } = await ci.runs.create({ project: "p", workflow: "w" });
    await age([old?.id ?? ""], hour + 1_000);
    await harness.pool.query(
      `insert into run (organization_id, id, workflow_id, backend_id, created_at, started_at)
       select organization_id, gen_random_uuid(), workflow_id, backend_id, created_at, started_at
       from run, generate_series(1, 1199) where id = $1`,
      [old?.id],
    );
    const young = await ci.runs.create({ project: "p", workflow: "w" });
    const counts = await many(3, () => expireRuns(harness.context.runs, hour, never));
    expect(counts.reduce((sum, count) => sum + count)).toBe(1_200);
    expect(await expireRuns(harness.context.runs, hour, never)).toBe(0);
    const one = await reader.runs.get({ by: { case: "runId", value: young.run?.id ?? "" } });
    expect(one.run?.state).toBe(RunState.INITIALIZED);
    const expired = await reader.runs.list({ state: RunState.EXPIRED, pageSize: 1 });
    expect(expired.runs[0]?.finishedAt).toBeDefined();
  }, 30_000);

  test("a run whose plan was given before it expired still completes; a plan of later is refused", async () => {
    const { ci, id: organizationId } = await harness.organization("plans");
    const { run } = await ci.runs.create({ project: "p", workflow: "w" });
    const ask = { organizationId, runId: run?.id ?? "", digest };
    await age([ask.runId], hour + 1_000);
    // Overdue, but not expired yet: the plan holds, whenever the expirer comes.
    const { planGivenAt } = await harness.ingest.runs.getStoragePlan({ ...ask, sizeBytes: 1n });
    if (planGivenAt === undefined) throw new Error("a plan has a time");
    await expireRuns(harness.context.runs, hour, never);
    const late = timestampFromDate(new Date(Date.now() + 60_000));
    const refused = { code: "FailedPrecondition", reason: "RUN_EXPIRED" };
    expect(await refusal(harness.ingest.runs.complete({ ...ask, planGivenAt: late }))).toMatchObject(refused);
    expect(await refusal(harness.ingest.runs.getStoragePlan({ ...ask, sizeBytes: 1n }))).toMatchObject(refused);
    await harness.ingest.runs.complete({ ...ask, planGivenAt });
    await harness.ingest.runs.complete({ ...ask, planGivenAt: late });
  });
});
