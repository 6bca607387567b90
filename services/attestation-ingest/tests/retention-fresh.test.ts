import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { DomainError, firstIdAt } from "@attestry/service-kit";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import type { Pool, PoolClient } from "pg";
import { RetentionRows } from "../src/db/retention.ts";
import type { TestIngest } from "./harness.ts";
import { createRetentionTest, deletedAtOnce, type RetentionTest } from "./retention-harness.ts";

let retention: RetentionTest;
let ingest: TestIngest;

beforeAll(async () => {
  retention = await createRetentionTest();
  ({ ingest } = retention);
});
afterAll(() => ingest.destroy());
afterEach(() => retention.clear());

async function hidden(): Promise<string> {
  const runId = await retention.storedBefore(31);
  await ingest.database.query("update attestation set expired_at = now() - interval '1 s'");
  return runId;
}

function deleteHidden(usableMs: number, pool: Pool = ingest.database): Promise<number> {
  const { organizationId } = ingest;
  const policy = { organizationId, atLeastSeconds: 0, atMostSeconds: 1, useBefore: performance.now() + usableMs };
  return new RetentionRows(pool).delete(policy, 0, firstIdAt(0), firstIdAt(Number.MAX_SAFE_INTEGER));
}

test("a bound that is raised in the midst of a round holds for what is still to be deleted", async () => {
  const runId = await hidden();
  retention.keepFor({ atMost: 30 });
  let asked = 0;
  ingest.run.beforePolicy = () => {
    // The first answer is for what is to be hidden.
    if (++asked === 2) retention.keepFor({ atLeast: 90, atMost: 90 });
  };
  await retention.sweep(deletedAtOnce);
  expect(await retention.row(runId)).toMatchObject({ expired_at: null });
  expect(await retention.actions(runId)).toEqual(["attestation.keep"]);
});

test("each window is deleted by an answer of its own", async () => {
  await retention.copies(await retention.storedBefore(31), 500);
  await ingest.database.query("update attestation set expired_at = now() - interval '1 s'");
  retention.keepFor({ atMost: 30 });
  const left = async () => (await ingest.database.query("select from attestation")).rowCount;
  ingest.run.beforePolicy = async () => {
    if ((await left()) !== 501) retention.keepFor({ atMost: 0 });
  };
  await retention.sweep(deletedAtOnce);
  // The 200 of the first window, less those that the reconciler had locked just then.
  expect(await left()).toBeGreaterThanOrEqual(301);
  expect(await left()).toBeLessThan(501);
});

test("an answer that is too old deletes nothing", async () => {
  const runId = await hidden();
  expect(await deleteHidden(-1)).toBe(0);
  expect(await retention.row(runId)).toBeDefined();
  expect(await deleteHidden(10_000)).toBe(1);
});

test("an answer that became too old within the transaction deletes nothing", async () => {
  const runId = await hidden();
  const locking = await ingest.database.connect();
  try {
    await locking.query("begin; select from upload for update");
    const deleting = deleteHidden(300);
    await sleep(400);
    await locking.query("commit");
    expect(await deleting).toBe(0);
  } finally {
    locking.release();
  }
  expect(await retention.row(runId)).toBeDefined();
  expect(await retention.actions(runId)).toEqual([]);
});

test("a commit that was held up is refused by the database", async () => {
  const runId = await hidden();
  const stopped = stoppedBeforeCommit(ingest.database, 6_000);
  await expect(deleteHidden(60_000, stopped)).rejects.toThrow();
  expect(await retention.row(runId)).toBeDefined();
  expect(await retention.actions(runId)).toEqual([]);
}, 20_000);

test("what fails in one organization holds up no other", async () => {
  const runId = await retention.storedBefore(31);
  const [faulty, unanswered] = [randomUUID(), randomUUID()];
  const bad = await retention.storedBefore(31);
  await ingest.database.query("update upload set organization_id = $1 where run_id = $2", [faulty, bad]);
  await ingest.database.query("update attestation set organization_id = $1 where run_id = $2", [faulty, bad]);
  await ingest.database.query(
    `alter table attestation add constraint never_hidden check (organization_id <> '${faulty}' or expired_at is null)`,
  );
  try {
    retention.keepFor({ atMost: 30 }, faulty);
    retention.keepFor({ atMost: 30 }, unanswered);
    retention.keepFor({ atMost: 30 });
    ingest.run.beforePolicy = (organizationId) => {
      if (organizationId === unanswered) throw new DomainError("DATABASE_UNAVAILABLE", "away", { retryAfterMs: 1 });
    };
    await retention.sweep(deletedAtOnce);
    expect(await retention.row(runId)).toBeUndefined();
    expect(await retention.row(bad)).toMatchObject({ expired_at: null });
  } finally {
    await ingest.database.query("alter table attestation drop constraint never_hidden");
  }
});

/** A pool of a process that is stopped for so long right before it sends a COMMIT. */
function stoppedBeforeCommit(pool: Pool, ms: number): Pool {
  async function connect(): Promise<PoolClient> {
    const client = await pool.connect();
    const query = client.query.bind(client) as (text: unknown) => Promise<unknown>;
    // The tests' own pool takes a lost connection for a bug.
    client.on("error", () => undefined);
    const slow = async (text: unknown) => {
      if (text === "commit") await sleep(ms);
      return query(text);
    };
    return Object.assign(Object.create(client), { query: slow, release: () => client.release(true) });
  }
  return { connect } as unknown as Pool;
}
