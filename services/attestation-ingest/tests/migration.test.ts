import { randomUUID } from "node:crypto";
import { MigrationService } from "@attestry/api/ingest";
import { DomainError } from "@attestry/service-kit";
import { type Client, createClient } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import {
  bundleOf,
  createTestIngest,
  digestOf,
  eventually,
  refusal,
  storeOne,
  type TestIngest,
  withWorker,
} from "./harness.ts";

let ingest: TestIngest;
let migrations: Client<typeof MigrationService>;

beforeAll(async () => {
  ingest = await createTestIngest();
  migrations = createClient(MigrationService, await ingest.as("admin"));
});
afterAll(() => ingest.destroy());
afterEach(async () => {
  ingest.gateway.recover();
  ingest.run.beforeToken = () => undefined;
  await ingest.database.query("delete from attestation");
});

async function store(count: number): Promise<Buffer[]> {
  const bundles = Array.from({ length: count }, () => bundleOf());
  await Promise.all(bundles.map((bundle) => storeOne(ingest, bundle)));
  return bundles;
}

function unconfirmed(): Promise<number> {
  return ingest.database.query("select from upload where state <> 'confirmed'").then(({ rowCount }) => rowCount ?? -1);
}

describe("a migration", () => {
  test("copies all that the first backend has, once, and says how far it is", async () => {
    const from = ingest.run.useExternal();
    const bundles = await store(12);
    await withWorker(ingest, () => eventually(async () => (await unconfirmed()) === 0, "all are in the first"));
    const to = ingest.run.useExternal();
    await store(3);

    const asked = { fromBackendId: from, toBackendId: to };
    const size = BigInt(bundles.reduce((sum, bundle) => sum + bundle.length, 0));
    expect(await migrations.queue(asked)).toMatchObject({ attestations: 12, queued: 12, sizeBytes: size });
    // Begun again: nothing is queued twice. What was stored in the second directly is no part of it.
    expect(await migrations.queue(asked)).toMatchObject({ attestations: 12, queued: 0, nextPageToken: "" });
    expect(await migrations.getProgress(asked)).toMatchObject({ pending: 12n, failing: 0n, sizeBytes: size });
    await withWorker(ingest, () => eventually(async () => (await unconfirmed()) === 0, "all are in the second"));
    expect(await migrations.getProgress(asked)).toMatchObject({ pending: 0n, failing: 0n, givenUp: 0n, sizeBytes: 0n });
    for (const bundle of bundles) {
      expect(ingest.gateway.blobs.get(`${to}:${digestOf(bundle)}`)?.equals(bundle)).toBe(true);
    }
  });

  test("takes what an inline backend has, of the caller's organization alone", async () => {
    ingest.run.backend = { ...ingest.run.backend, id: randomUUID(), provider: 1 };
    const from = ingest.run.backend.id;
    await store(2);
    const other = randomUUID();
    await ingest.database.query(
      `insert into attestation (id, organization_id, run_id, workflow_id, project, workflow, backend_id, digest, size_bytes,
         media_type, predicate_type, subjects, mode, bundle, received_at, plan_given_at, visible)
       select gen_random_uuid(), $1, gen_random_uuid(), workflow_id, project, workflow, backend_id, digest, size_bytes,
         media_type, predicate_type, subjects, mode, bundle, received_at, plan_given_at, true from attestation limit 1`,
      [other],
    );
    const to = ingest.run.useExternal();
    expect(await migrations.queue({ fromBackendId: from, toBackendId: to })).toMatchObject({ queued: 2 });
    expect((await ingest.database.query("select from upload where organization_id = $1", [other])).rowCount).toBe(0);
  });

  test("leaves what is not visible: its row may still go", async () => {
    const from = ingest.run.useExternal();
    await store(2);
    await ingest.database.query(
      "update attestation set visible = false where id = (select max(id::text)::uuid from attestation)",
    );
    const to = ingest.run.useExternal();
    expect(await migrations.queue({ fromBackendId: from, toBackendId: to })).toMatchObject({ queued: 1 });
  });

  test("shows what fails and why", async () => {
    const from = ingest.run.useExternal();
    await store(1);
    await withWorker(ingest, () => eventually(async () => (await unconfirmed()) === 0, "it is in the first"));
    const to = ingest.run.useExternal();
    await migrations.queue({ fromBackendId: from, toBackendId: to });
    ingest.gateway.beforeWrite = () => {
      throw new DomainError("BACKEND_UNAVAILABLE", "the archive does not answer");
    };
    await withWorker(ingest, () =>
      eventually(async () => {
        const { failing, lastError } = await migrations.getProgress({ fromBackendId: from, toBackendId: to });
        return failing === 1n && lastError.includes("the archive does not answer");
      }, "it is failing"),
    );
  });

  test("refuses what cannot be: the same backend, no UUID, unknown and inline ones, and who is no admin", async () => {
    const from = randomUUID();
    const to = randomUUID();
    const queue = (request: { fromBackendId: string; toBackendId: string }) => refusal(migrations.queue(request));
    expect(await queue({ fromBackendId: from, toBackendId: from })).toBe("REQUEST_INVALID");
    expect(await queue({ fromBackendId: "local", toBackendId: to })).toBe("REQUEST_INVALID");
    for (const reason of ["BACKEND_NOT_FOUND", "BACKEND_INLINE"] as const) {
      ingest.run.beforeToken = () => {
        throw new DomainError(reason, "as workflow-run says");
      };
      expect(await queue({ fromBackendId: from, toBackendId: to })).toBe(reason);
    }
    const ci = createClient(MigrationService, await ingest.as("ci"));
    expect(await refusal(ci.queue({ fromBackendId: from, toBackendId: to }))).toBe("ROLE_INSUFFICIENT");
  });
});
