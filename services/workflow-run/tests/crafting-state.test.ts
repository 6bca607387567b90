import { CancelTrigger, Role, RunState } from "@attestry/api/run";
import { digestOf } from "@attestry/bundle";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { largestStateBytes } from "../src/runs/crafting-state.ts";
import { expectRefusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

let run: Harness;
let database: pg.Pool;

beforeAll(async () => {
  run = await startHarness({ expirerIntervalMs: 50 });
  database = new pg.Pool({ connectionString: run.config.databaseUrl, max: 3 });
}, 60_000);
afterAll(async () => {
  await database?.end();
  await run?.stop();
}, 60_000);

async function startRun(): Promise<string> {
  const { run: started } = await run.admin.runs.create({ project: "shop", workflow: "release" });
  return started?.id ?? "";
}

async function heldFor(runId: string): Promise<number> {
  const { rows } = await database.query("select count(*)::int as n from crafting_state where run_id = $1", [runId]);
  return rows[0].n;
}

async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await isSo()) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await isSo()).toBe(true);
}

/** Statements on crafting states that wait for another transaction. */
async function blockedWriters(): Promise<number> {
  const { rows } = await database.query(
    `select count(*)::int as n from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock' and query like '%crafting_state%'`,
  );
  return rows[0].n;
}

async function stateOf(runId: string): Promise<RunState | undefined> {
  return (await run.admin.runs.get({ by: { case: "runId", value: runId } })).run?.state;
}

async function complete(runId: string): Promise<void> {
  const { rows } = await database.query("select organization_id from run where id = $1", [runId]);
  const ask = { organizationId: rows[0].organization_id, runId, digest: digestOf(Buffer.from(runId)) };
  const { planGivenAt } = await run.ingest.runs.getStoragePlan({ ...ask, sizeBytes: 1n });
  await run.ingest.runs.complete({ ...ask, ...(planGivenAt && { planGivenAt }) });
}

test("a state comes back as it was saved, replaces the one before, and is deleted", async () => {
  const runId = await startRun();
  await expectRefusal(run.admin.states.get({ runId }), "NotFound", "CRAFTING_STATE_NOT_FOUND");
  const state = Buffer.from([0, 1, 255]);
  const { digest } = await run.admin.states.save({ runId, state });
  expect(digest).toBe(digestOf(state));
  expect(await run.admin.states.get({ runId })).toMatchObject({ state: new Uint8Array(state), digest });
  const next = await run.admin.states.save({ runId, state: Buffer.from("next"), baseDigest: digest });
  await expectRefusal(run.admin.states.save({ runId, state, baseDigest: digest }), "Aborted", "CRAFTING_STATE_CHANGED");
  expect((await run.admin.states.get({ runId })).digest).toBe(next.digest);
  // Without a base: whatever is there.
  await run.admin.states.save({ runId, state });
  await run.admin.states.delete({ runId });
  await run.admin.states.delete({ runId });
  await expectRefusal(run.admin.states.get({ runId }), "NotFound", "CRAFTING_STATE_NOT_FOUND");
  await expectRefusal(run.admin.states.save({ runId, state, baseDigest: digest }), "Aborted", "CRAFTING_STATE_CHANGED");
});

test("of twenty changes of one state, one is made", async () => {
  const runId = await startRun();
  let { digest } = await run.admin.states.save({ runId, state: Buffer.from("base") });
  for (let round = 0; round < 5; round++) {
    const changes = Array.from({ length: 20 }, (_, n) =>
      run.admin.states.save({ runId, state: Buffer.from(`${round} ${n}`), baseDigest: digest }),
    );
    const made = (await Promise.allSettled(changes)).filter(({ status }) => status === "fulfilled");
    expect(made).toHaveLength(1);
    ({ digest } = await run.admin.states.get({ runId }));
  }
});

test.each(["deleted", "ended"])(
  "a change that waits for a run or state that is being %s is not made",
  async (ending) => {
    const runId = await startRun();
    const { digest } = await run.admin.states.save({ runId, state: Buffer.from("base") });
    const other = await database.connect();
    try {
      await other.query("begin");
      await other.query("delete from crafting_state where run_id = $1", [runId]);
      if (ending === "ended") {
        await other.query("update run set state = 'cancelled', finished_at = now() where id = $1", [runId]);
      }
      const saved = run.admin.states.save({ runId, state: Buffer.from("next"), baseDigest: digest });
      const refused =
        ending === "deleted"
          ? expectRefusal(saved, "Aborted", "CRAFTING_STATE_CHANGED")
          : expectRefusal(saved, "FailedPrecondition", "RUN_CANCELLED");
      await eventually(async () => (await blockedWriters()) > 0);
      await other.query("commit");
      await refused;
    } finally {
      // Ends the transaction too, should the test have failed inside it.
      other.release(true);
    }
    expect(await heldFor(runId)).toBe(0);
  },
);

test("what is too large, of no run, or of no digest is refused", async () => {
  const runId = await startRun();
  const largest = Buffer.alloc(largestStateBytes);
  await run.admin.states.save({ runId, state: largest });
  await expectRefusal(
    run.admin.states.save({ runId, state: Buffer.alloc(largestStateBytes + 1) }),
    "InvalidArgument",
    "CRAFTING_STATE_TOO_LARGE",
  );
  await expectRefusal(run.admin.states.save({ runId, baseDigest: "abc" }), "InvalidArgument", "DIGEST_INVALID");
  await expectRefusal(run.admin.states.save({ runId: "abc" }), "InvalidArgument", "RUN_ID_INVALID");
  const none = "019ac000-0000-7000-8000-000000000000";
  const { get, save, delete: remove } = run.admin.states;
  for (const call of [get, save, remove]) await expectRefusal(call({ runId: none }), "NotFound", "RUN_NOT_FOUND");
});

const endings: [string, string, (runId: string) => Promise<unknown>][] = [
  ["fails", "RUN_FAILED", (runId) => run.admin.runs.cancel({ runId, trigger: CancelTrigger.FAILURE })],
  ["is cancelled", "RUN_CANCELLED", (runId) => run.admin.runs.cancel({ runId })],
  ["is completed", "RUN_FINISHED", complete],
  [
    "expires",
    "RUN_EXPIRED",
    async (runId) => {
      await database.query("update run set created_at = created_at - interval '2 hours' where id = $1", [runId]);
      await database.query("update run set started_at = started_at - interval '2 hours' where id = $1", [runId]);
      await eventually(async () => (await stateOf(runId)) === RunState.EXPIRED);
    },
  ],
];

test.each(endings)(
  "it is gone when its run %s, at once for callers and soon from the database",
  async (_, reason, end) => {
    const runId = await startRun();
    const { digest: baseDigest } = await run.admin.states.save({ runId, state: Buffer.from("state") });
    await end(runId);
    await expectRefusal(run.admin.states.get({ runId }), "NotFound", "CRAFTING_STATE_NOT_FOUND");
    await expectRefusal(run.admin.states.save({ runId }), "FailedPrecondition", reason);
    await expectRefusal(run.admin.states.save({ runId, baseDigest }), "FailedPrecondition", reason);
    await eventually(async () => (await heldFor(runId)) === 0);
    await run.admin.states.delete({ runId });
  },
);

test("another organization does not find it, change it or delete it", async () => {
  const runId = await startRun();
  const { digest: baseDigest } = await run.admin.states.save({ runId, state: Buffer.from("state") });
  const stranger = (await run.organization("stranger")).admin.states;
  await expectRefusal(stranger.get({ runId }), "NotFound", "RUN_NOT_FOUND");
  await expectRefusal(stranger.save({ runId, baseDigest }), "NotFound", "RUN_NOT_FOUND");
  await expectRefusal(stranger.save({ runId }), "NotFound", "RUN_NOT_FOUND");
  await expectRefusal(stranger.delete({ runId }), "NotFound", "RUN_NOT_FOUND");
  expect((await run.admin.states.get({ runId })).digest).toBe(baseDigest);
});

test("a reader may not see it", async () => {
  const runId = await startRun();
  const { secret } = await run.admin.tokens.create({ name: "reader", role: Role.READER });
  await expectRefusal(run.as(secret).states.get({ runId }), "PermissionDenied", "ROLE_INSUFFICIENT");
});
