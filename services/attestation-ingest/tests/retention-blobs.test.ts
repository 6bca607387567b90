import { randomUUID } from "node:crypto";
import { MigrationService, UploadState } from "@attestry/api/ingest";
import { StorageMode } from "@attestry/api/run";
import { DomainError, firstIdAt } from "@attestry/service-kit";
import { createClient } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { RetentionRows } from "../src/db/retention.ts";
import { bundleOf, digestOf, eventually, refusal, storeOne, type TestIngest } from "./harness.ts";
import { createRetentionTest, deletedAtOnce, type RetentionTest } from "./retention-harness.ts";

let retention: RetentionTest;
let ingest: TestIngest;

beforeAll(async () => {
  retention = await createRetentionTest();
  ({ ingest } = retention);
});
afterAll(() => ingest.destroy());
afterEach(() => retention.clear());

describe("a blob of a deleted attestation", () => {
  test("stays while another run has the same bytes", async () => {
    const bundle = bundleOf();
    const gone = await retention.storedBefore(31, bundle);
    const stays = await storeOne(ingest, bundle);
    retention.keepFor({ atMost: 30 });
    await retention.sweep(deletedAtOnce);
    expect(await retention.row(gone)).toBeUndefined();
    await retention.ageIntents();
    await retention.sweep(deletedAtOnce);
    expect(await retention.get(stays)).toBeUndefined();
    expect(ingest.gateway.blobs.has(retention.key(bundle))).toBe(true);
    expect(await retention.intents()).toEqual([]);
    const { rows } = await ingest.database.query("select action from audit_event where resource = $1", [
      `blob ${digestOf(bundle)}`,
    ]);
    expect(rows).toEqual([{ action: "blob.keep" }]);
  });

  test("stays while another backend has a run with the same bytes, and goes after it", async () => {
    const bundle = bundleOf();
    const gone = await retention.storedBefore(31, bundle);
    const other = randomUUID();
    const { backend } = ingest.run;
    ingest.run.backend = { ...backend, id: other };
    const stays = await storeOne(ingest, bundle);
    ingest.run.backend = backend;
    retention.keepFor({ atMost: 30 });
    await retention.sweep(deletedAtOnce);
    expect(await retention.row(gone)).toBeUndefined();
    await retention.ageIntents();
    await retention.sweep(deletedAtOnce);
    expect(ingest.gateway.blobs.has(retention.key(bundle))).toBe(true);
    expect(await retention.get(stays)).toBeUndefined();
    expect(await retention.intents()).toEqual([{ state: "idle", retired: true }]);

    await retention.age(stays, 31);
    await retention.sweep(deletedAtOnce);
    expect(await retention.row(stays)).toBeUndefined();
    await retention.ageIntents();
    await retention.sweep(deletedAtOnce);
    expect(ingest.gateway.blobs.size).toBe(0);
    expect(await retention.intents()).toEqual([]);
  });

  test("goes though a row of the same bytes is in the database alone", async () => {
    const bundle = bundleOf();
    await retention.storedBefore(31, bundle);
    const stays = await storeOne(ingest, bundle);
    await ingest.database.query("delete from upload where run_id = $1", [stays]);
    await ingest.database.query(
      "update attestation set backend_id = $2, external = false, mode = 'database', bundle = $3 where run_id = $1",
      [stays, randomUUID(), bundle],
    );
    retention.keepFor({ atMost: 30 });
    await retention.sweep(deletedAtOnce);
    await retention.ageIntents();
    await retention.sweep(deletedAtOnce);
    expect(ingest.gateway.blobs.size).toBe(0);
    expect(await retention.get(stays)).toBeUndefined();
  });

  test("is collected though its upload was still to come, or under way", async () => {
    ingest.run.storageMode = StorageMode.DATABASE;
    ingest.gateway.breakDown();
    const bundle = bundleOf();
    const runId = await retention.storedBefore(31, bundle);
    retention.keepFor({ atMost: 30 });
    await retention.sweep(deletedAtOnce);
    expect(await retention.row(runId)).toBeUndefined();
    expect(await retention.intents()).toEqual([{ state: "idle", retired: true }]);
    // As by a worker that had begun before.
    ingest.gateway.recover();
    ingest.gateway.blobs.set(retention.key(bundle), bundle);
    await retention.ageIntents();
    await retention.sweep();
    expect(ingest.gateway.blobs.size).toBe(0);
  });

  test("is a Store's again once one has noted it anew", async () => {
    const bundle = bundleOf();
    await retention.storedBefore(31, bundle);
    retention.keepFor({ atMost: 30 });
    await retention.sweep(deletedAtOnce);
    ingest.gateway.beforeWrite = () => {
      throw new DomainError("BACKEND_UNAVAILABLE", "away", { retryAfterMs: 1_000 });
    };
    const runId = ingest.run.begin(ingest.organizationId);
    expect(await refusal(ingest.attestations.store({ runId, bundle }))).toBe("CAS_UNAVAILABLE");
    expect(await retention.intents()).toEqual([{ state: "idle", retired: false }]);
    ingest.gateway.recover();
    await retention.ageIntents();
    await retention.sweep();
    expect(ingest.gateway.blobs.size).toBe(1);
    await ingest.attestations.store({ runId, bundle });
    expect(await retention.intents()).toEqual([]);
  });

  test("that cannot be deleted now is tried again", async () => {
    await retention.storedBefore(31);
    retention.keepFor({ atMost: 30 });
    await retention.sweep(deletedAtOnce);
    await retention.ageIntents();
    ingest.gateway.beforeDelete = () => {
      throw new DomainError("BACKEND_UNAVAILABLE", "away", { retryAfterMs: 1_000 });
    };
    await retention.sweep();
    expect(await retention.intents()).toEqual([{ state: "deleting", retired: true }]);
    ingest.gateway.recover();
    await ingest.database.query("update intent set gc_until = now() - interval '1 second'");
    await retention.sweep();
    expect(await retention.intents()).toEqual([]);
    expect(ingest.gateway.blobs.size).toBe(0);
  });
});

test("a hidden attestation's upload goes on", async () => {
  ingest.run.storageMode = StorageMode.DATABASE;
  const bundle = bundleOf();
  const runId = await retention.storedBefore(31, bundle);
  await ingest.database.query("update attestation set expired_at = now() - interval '1 s'");
  retention.keepFor({ atMost: 30 });
  const worker = await ingest.replica();
  await worker.start();
  await eventually(() => ingest.gateway.blobs.has(retention.key(bundle)), "the upload");
  await worker.stop();
  const { uploads } = await ingest.uploads.list({ state: UploadState.CONFIRMED });
  expect(uploads.some((upload) => upload.runId === runId)).toBe(true);
});

test("a backend is known to gc by the attestation alone, if its upload was lost with the database's", async () => {
  await retention.storedBefore(31);
  await ingest.database.query("update attestation set expired_at = now() - interval '1 s'");
  await ingest.database.query("delete from upload");
  // Straight to it: a worker might write the upload anew before.
  expect(await deleteHidden()).toBe(1);
  expect(await retention.intents()).toEqual([{ state: "idle", retired: true }]);
});

test("a deletion that fails halfway leaves the row hidden, and no event", async () => {
  const runId = await retention.storedBefore(31);
  await ingest.database.query("update attestation set expired_at = now() - interval '1 s'");
  await ingest.database.query("alter table intent add constraint none_may_come check (not retired)");
  await expect(deleteHidden()).rejects.toThrow("none_may_come");
  await ingest.database.query("alter table intent drop constraint none_may_come");
  expect(await retention.row(runId)).toMatchObject({ expired_at: expect.any(Date) });
  expect(await retention.actions(runId)).toEqual([]);
  expect(await deleteHidden()).toBe(1);
  expect(await retention.actions(runId)).toEqual(["attestation.delete"]);
});

test("what a sweep cannot lock waits for the next, and what a migration queues meanwhile is known to gc", async () => {
  const runId = await retention.storedBefore(31);
  retention.keepFor({ atMost: 30 });
  await retention.sweep();
  const other = randomUUID();
  const migrating = await ingest.database.connect();
  try {
    await migrating.query("begin");
    await migrating.query(
      `insert into upload (id, organization_id, attestation_id, run_id, backend_id, digest, size_bytes, state)
       select gen_random_uuid(), organization_id, id, run_id, $1, digest, size_bytes, 'given_up' from attestation`,
      [other],
    );
    await retention.sweep(deletedAtOnce);
    expect(await retention.row(runId)).toBeDefined();
    await migrating.query("commit");
  } finally {
    migrating.release();
  }
  await retention.sweep(deletedAtOnce);
  expect(await retention.row(runId)).toBeUndefined();
  const { rows } = await ingest.database.query("select backend_id from intent");
  expect(new Set(rows.map((intent) => intent.backend_id))).toEqual(new Set([retention.backendId, other]));
});

test("a migration passes over what is deleted while it queues", async () => {
  await retention.storedBefore(31);
  const stays = await retention.storedBefore(31);
  const migrations = createClient(MigrationService, await ingest.as("admin"));
  const deleting = await ingest.database.connect();
  try {
    await deleting.query("begin");
    await deleting.query("delete from attestation where run_id <> $1", [stays]);
    const queued = migrations.queue({ fromBackendId: retention.backendId, toBackendId: randomUUID() });
    const waits = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    await eventually(
      async () => (await ingest.database.query(waits)).rowCount === 1,
      "the migration waits for the row",
    );
    await deleting.query("commit");
    expect((await queued).queued).toBe(1);
  } finally {
    deleting.release();
  }
});

/** What is hidden and older than a second; how many. */
function deleteHidden(): Promise<number> {
  const { organizationId } = ingest;
  const policy = { organizationId, atLeastSeconds: 0, atMostSeconds: 1, useBefore: performance.now() + 10_000 };
  return new RetentionRows(ingest.database).delete(policy, 0, firstIdAt(0), firstIdAt(Number.MAX_SAFE_INTEGER));
}
