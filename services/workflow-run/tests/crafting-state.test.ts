import { CancelTrigger, Role } from "@attestry/api/run";
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
  database = new pg.Pool({ connectionString: run.config.databaseUrl, max: 2 });
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

test("it is gone when its run ends, at once for callers and soon from the database", async () => {
  const runId = await startRun();
  await run.admin.states.save({ runId, state: Buffer.from("state") });
  await run.admin.runs.cancel({ runId, trigger: CancelTrigger.FAILURE });
  await expectRefusal(run.admin.states.get({ runId }), "NotFound", "CRAFTING_STATE_NOT_FOUND");
  await expectRefusal(run.admin.states.save({ runId }), "FailedPrecondition", "RUN_FAILED");
  const deadline = Date.now() + 10_000;
  while ((await heldFor(runId)) > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await heldFor(runId)).toBe(0);
  await run.admin.states.delete({ runId });
});

test("a reader may not see it", async () => {
  const runId = await startRun();
  const { secret } = await run.admin.tokens.create({ name: "reader", role: Role.READER });
  await expectRefusal(run.as(secret).states.get({ runId }), "PermissionDenied", "ROLE_INSUFFICIENT");
});
