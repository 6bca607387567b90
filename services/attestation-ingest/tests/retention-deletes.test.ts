import { GcService } from "@attestry/api/ingest";
import { createClient } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { bundleOf, eventually, refusal, type TestIngest } from "./harness.ts";
import { createRetentionTest, deletedAtOnce, type RetentionTest } from "./retention-harness.ts";

let retention: RetentionTest;
let ingest: TestIngest;

beforeAll(async () => {
  retention = await createRetentionTest();
  ({ ingest } = retention);
});
afterAll(() => ingest.destroy());
afterEach(() => retention.clear());

const off = { ...deletedAtOnce, deletes: false };

test("with deletions off nothing is hidden or deleted; what a raised bound brings back comes back", async () => {
  const bundle = bundleOf();
  const [collected, hidden] = [await retention.storedBefore(33, bundle), await retention.storedBefore(32)];
  retention.keepFor({ atMost: 32.5 });
  await retention.sweep(deletedAtOnce);
  expect(await retention.row(collected)).toBeUndefined();
  retention.keepFor({ atMost: 30 });
  await retention.sweep();
  const due = await retention.storedBefore(31);
  await retention.ageIntents();
  await retention.sweep(off);
  expect(await retention.row(due)).toMatchObject({ expired_at: null });
  expect(await retention.row(hidden)).toMatchObject({ expired_at: expect.any(Date) });
  expect(ingest.gateway.blobs.has(retention.key(bundle))).toBe(true);

  const replica = await ingest.replica(off);
  const gc = createClient(GcService, await replica.as("admin"));
  expect(await refusal(gc.collect({}))).toBe("DELETES_OFF");
  expect((await gc.list({})).blobs).toHaveLength(1);
  expect(ingest.gateway.blobs.has(retention.key(bundle))).toBe(true);

  retention.keepFor({ atMost: 60 });
  await retention.sweep(off);
  expect(await retention.get(hidden)).toBeUndefined();
});

test("after a start nothing is deleted before one interval is over, however long it has been hidden", async () => {
  const bundle = bundleOf();
  const gone = await retention.storedBefore(33, bundle);
  retention.keepFor({ atMost: 32 });
  await retention.sweep(deletedAtOnce);
  await retention.ageIntents();
  const [raised, lost] = [await retention.storedBefore(30), await retention.storedBefore(31)];
  retention.keepFor({ atMost: 29 });
  await retention.sweep();
  await ingest.database.query("update attestation set expired_at = expired_at - interval '1 year'");

  const retentionEveryMs = 2_000;
  const startedAt = performance.now();
  const worker = await ingest.replica({ ...deletedAtOnce, retentionEveryMs });
  await worker.start();
  const before = ingest.run.calls.organizations;
  await eventually(() => ingest.run.calls.organizations > before, "the first round");
  retention.keepFor({ atMost: 30.5 });
  await eventually(async () => (await retention.row(lost)) === undefined, "one is deleted");
  expect(performance.now() - startedAt).toBeGreaterThan(retentionEveryMs);
  expect(await retention.get(raised)).toBeUndefined();
  await eventually(() => !ingest.gateway.blobs.has(retention.key(bundle)), "the blob of what was deleted before");
  expect(await retention.row(gone)).toBeUndefined();
  await worker.stop();
});
