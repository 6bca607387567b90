import { randomUUID } from "node:crypto";
import { AuditService, ReferenceService } from "@attestry/api/ingest";
import { DomainError } from "@attestry/service-kit";
import { createClient } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { bundleOf, digestOf, eventually, refusal, type TestIngest } from "./harness.ts";
import { createRetentionTest, deletedAtOnce, type RetentionTest } from "./retention-harness.ts";

let retention: RetentionTest;
let ingest: TestIngest;

beforeAll(async () => {
  retention = await createRetentionTest();
  ({ ingest } = retention);
});
afterAll(() => ingest.destroy());
afterEach(() => retention.clear());

describe("what is past at_most", () => {
  test("is hidden from every reader, and can be brought back", async () => {
    const bundle = bundleOf({ subjects: [{ name: "app", digest: { sha256: "b".repeat(64) } }] });
    const runId = await retention.storedBefore(31, bundle);
    const subjectDigest = `sha256:${"b".repeat(64)}`;
    const byDigest = { by: { case: "digest", value: digestOf(bundle) } } as const;
    expect((await ingest.attestations.list({ subjectDigest })).attestations).toHaveLength(1);
    retention.keepFor({ atMost: 30 });
    await retention.sweep();

    expect(await retention.get(runId)).toBe("ATTESTATION_NOT_FOUND");
    expect(await refusal(ingest.attestations.get(byDigest))).toBe("ATTESTATION_NOT_FOUND");
    expect(await refusal(downloaded(runId))).toBe("ATTESTATION_NOT_FOUND");
    expect((await ingest.attestations.list({ subjectDigest })).attestations).toEqual([]);
    expect((await ingest.attestations.list({})).attestations).toEqual([]);
    // Its blob must stay, and the scrubber must know it.
    const references = createClient(ReferenceService, ingest.asService("cas-gateway"));
    const { organizationId } = ingest;
    const { bundles } = await references.listBundles({ organizationId, backendId: retention.backendId });
    expect(bundles.map(({ digest }) => digest)).toEqual([digestOf(bundle)]);
    const again = ingest.attestations.store({ runId, bundle });
    await expect(again).rejects.toThrow(/hidden since .*Z, deleted after .*Z; until then a higher at_most/);
    expect(await refusal(ingest.attestations.store({ runId, bundle }))).toBe("ATTESTATION_EXPIRED");

    retention.keepFor({ atMost: 60 });
    await retention.sweep();
    expect(await retention.get(runId)).toBeUndefined();
    retention.keepFor({ atMost: 30 });
    await retention.sweep();
    retention.keepFor({ atMost: 0 });
    await retention.sweep();
    expect(await retention.get(runId)).toBeUndefined();
    expect(await retention.actions(runId)).toEqual([
      "attestation.expire",
      "attestation.keep",
      "attestation.expire",
      "attestation.keep",
    ]);
  });

  test("is deleted after the grace with its blob, and the audit log says all of it", async () => {
    const predicate = { materials: [{ name: "file", digest: { sha256: "c".repeat(64) } }] };
    const bundle = bundleOf({ predicateType: "chainloop.dev/attestation/v0.2", predicate });
    const runId = await retention.storedBefore(31, bundle);
    const id = (await retention.row(runId))?.id ?? "";
    const materials = async () => (await ingest.database.query("select from attestation_material")).rowCount;
    expect(await materials()).toBe(1);
    retention.keepFor({ atMost: 30 });
    await retention.sweep();
    expect(await retention.row(runId)).toMatchObject({ expired_at: expect.any(Date) });
    await retention.sweep({ retentionGraceMs: 60_000 });
    expect(await retention.row(runId)).toBeDefined();
    await ingest.database.query("update attestation set expired_at = expired_at - interval '61 seconds'");
    await retention.sweep({ retentionGraceMs: 60_000 });
    expect(await retention.row(runId)).toBeUndefined();
    expect(await materials()).toBe(0);
    expect(await retention.intents()).toEqual([{ state: "idle", retired: true }]);
    expect(ingest.gateway.blobs.has(retention.key(bundle))).toBe(true);

    await retention.ageIntents();
    await retention.sweep();
    expect(ingest.gateway.blobs.size).toBe(0);
    expect(await retention.intents()).toEqual([]);

    const audit = createClient(AuditService, await ingest.as("admin"));
    const { events } = await audit.list({});
    const about = events.filter(({ resource }) => resource.endsWith(id) || resource.endsWith(digestOf(bundle)));
    expect(about.map(({ action }) => action)).toEqual(["blob.delete", "attestation.delete", "attestation.expire"]);
    expect(about[1]).toMatchObject({
      actor: "service attestation-ingest",
      resource: `attestation ${id}`,
      detail: {
        run_id: runId,
        digest: digestOf(bundle),
        size_bytes: String(bundle.length),
        stored_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        at_most: "2592000s",
        at_least: "none",
      },
    });
    expect(about[0]?.detail).toMatchObject({ backend_id: retention.backendId, retired: "true" });
  });

  test("stays while it is not due, and where there is no at_most", async () => {
    const young = await retention.storedBefore(29);
    retention.keepFor({ atMost: 30 });
    await retention.sweep(deletedAtOnce);
    expect(await retention.get(young)).toBeUndefined();
    const old = await retention.storedBefore(36_000);
    retention.keepFor({ atMost: 0 });
    await retention.sweep(deletedAtOnce);
    expect(await retention.get(old)).toBeUndefined();
  });

  test("another organization's stays", async () => {
    const runId = await retention.storedBefore(31);
    retention.keepFor({ atMost: 1 }, randomUUID());
    retention.keepFor({ atMost: 60 });
    retention.keepFor({ atMost: 1 }, randomUUID());
    await retention.sweep(deletedAtOnce);
    expect(await retention.get(runId)).toBeUndefined();
  });

  test("nothing happens while workflow-run is away", async () => {
    const runId = await retention.storedBefore(31);
    retention.keepFor({ atMost: 30 });
    ingest.run.beforeOrganizations = () => {
      throw new DomainError("SHUTTING_DOWN", "away", { retryAfterMs: 1_000 });
    };
    await retention.sweep(deletedAtOnce);
    expect(await retention.get(runId)).toBeUndefined();
  });

  test("more than a window of them are all deleted", async () => {
    const runId = await retention.storedBefore(31);
    await retention.copies(runId, 2500);
    retention.keepFor({ atMost: 30 });
    await retention.sweep(deletedAtOnce);
    expect((await ingest.database.query("select from attestation")).rowCount).toBe(0);
    const { rows } = await ingest.database.query(
      "select action, count(*)::int as n, count(distinct resource)::int as distinct from audit_event where detail ->> 'digest' = $1 group by 1 order by 1",
      [(await ingest.database.query("select 'sha256:' || encode(digest, 'hex') as d from intent")).rows[0].d],
    );
    expect(rows).toEqual([
      { action: "attestation.delete", n: 2501, distinct: 2501 },
      { action: "attestation.expire", n: 2501, distinct: 2501 },
    ]);
  });
});

describe("at_least", () => {
  test("of the time of the Store holds against a lower one later", async () => {
    retention.keepFor({ atLeast: 90, atMost: 90 });
    const runId = await retention.storedBefore(31);
    retention.keepFor({ atMost: 30 });
    await retention.sweep(deletedAtOnce);
    expect(await retention.get(runId)).toBeUndefined();
    await retention.age(runId, 60);
    await retention.sweep(deletedAtOnce);
    expect(await retention.row(runId)).toBeUndefined();
  });

  test("that was raised later holds for what is stored and hidden", async () => {
    const runId = await retention.storedBefore(31);
    retention.keepFor({ atMost: 30 });
    await retention.sweep();
    expect(await retention.get(runId)).toBe("ATTESTATION_NOT_FOUND");
    // No such bounds can be set; they are here to see that at_least alone decides.
    retention.keepFor({ atLeast: 90, atMost: 30 });
    await retention.sweep(deletedAtOnce);
    expect(await retention.get(runId)).toBeUndefined();
  });
});

test("a run whose attestation was deleted may be stored again", async () => {
  const bundle = bundleOf();
  const runId = await retention.storedBefore(31, bundle);
  retention.keepFor({ atMost: 30 });
  await retention.sweep(deletedAtOnce);
  await ingest.attestations.store({ runId, bundle });
  expect(await retention.get(runId)).toBeUndefined();
});

test("replicas that sweep at once hide and delete each only once", async () => {
  await retention.copies(await retention.storedBefore(31), 1_000);
  retention.keepFor({ atMost: 30 });
  const before = await events();
  const config = { retentionEveryMs: 1, ...deletedAtOnce };
  const workers = await Promise.all([1, 2, 3].map(() => ingest.replica(config)));
  await Promise.all(workers.map((worker) => worker.start()));
  const left = async () => (await ingest.database.query("select from attestation")).rowCount;
  await eventually(async () => (await left()) === 0, "all are deleted");
  await Promise.all(workers.map((worker) => worker.stop()));
  expect((await events()) - before).toBe(2 * 1_001);
});

async function events(): Promise<number> {
  return (await ingest.database.query("select count(*)::int as n from audit_event")).rows[0].n;
}

test("the role api leaves retention to workers", async () => {
  const runId = await retention.storedBefore(31);
  retention.keepFor({ atMost: 30 });
  const { calls } = ingest.run;
  const before = calls.organizations;
  const api = await ingest.replica({ role: "api", retentionEveryMs: 20, ...deletedAtOnce });
  await api.start();
  await new Promise((resolve) => setTimeout(resolve, 300));
  await api.stop();
  expect(calls.organizations).toBe(before);
  expect(await retention.get(runId)).toBeUndefined();
});

async function downloaded(runId: string): Promise<void> {
  for await (const _ of ingest.attestations.download({ by: { case: "runId", value: runId } }));
}
