import { randomUUID } from "node:crypto";
import { ReferenceService } from "@attestry/api/ingest";
import { type Client, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { bundleOf, createTestIngest, digestOf, eventually, refusal, type TestIngest } from "./harness.ts";

let ingest: TestIngest;
let references: Client<typeof ReferenceService>;
let backendId: string;

beforeAll(async () => {
  ingest = await createTestIngest({ skipDatabase: "true" });
  backendId = ingest.run.useExternal();
  references = createClient(ReferenceService, ingest.asService("cas-gateway"));
});
afterAll(() => ingest.destroy());

async function listed(pageSize = 0): Promise<string[]> {
  const digests: string[] = [];
  for (let afterDigest = ""; ; ) {
    const ask = { organizationId: ingest.organizationId, backendId, afterDigest, pageSize };
    const page = await references.listBundles(ask);
    digests.push(...page.bundles.map(({ digest }) => digest));
    if (page.bundles.length < (pageSize === 0 ? 1_000 : pageSize)) return digests;
    afterDigest = digests.at(-1) ?? "";
  }
}

/** Stores a bundle in the mode of the replica, for as many runs. Its digest. */
async function store(replica: TestIngest, bundle = bundleOf(), runs = 1): Promise<string> {
  for (let i = 0; i < runs; i++)
    await replica.attestations.store({ runId: replica.run.begin(replica.organizationId), bundle });
  return digestOf(bundle);
}

describe("ListBundles", () => {
  test("lists what Store put into the backend, by digest, each once, by pages of any size", async () => {
    const stored: string[] = [];
    for (let i = 0; i < 9; i++) stored.push(await store(ingest));
    const again = bundleOf();
    stored.push(await store(ingest, again, 2));
    for (const pageSize of [1, 3, 10, 11, 0]) expect(await listed(pageSize)).toEqual(stored.toSorted());
    const { bundles } = await references.listBundles({ organizationId: ingest.organizationId, backendId });
    expect(bundles.find(({ digest }) => digest === digestOf(again))?.sizeBytes).toBe(BigInt(again.byteLength));
  });

  test("has nothing of other organizations and backends", async () => {
    await store(ingest);
    const { organizationId } = ingest;
    expect((await references.listBundles({ organizationId, backendId: randomUUID() })).bundles).toEqual([]);
    expect((await references.listBundles({ organizationId: randomUUID(), backendId })).bundles).toEqual([]);
  });

  test("an upload counts from its confirmation, and a digest of both kinds once", async () => {
    const replica = await ingest.replica({ skipDatabase: "spool" });
    const before = await listed();
    const spooled = await store(replica);
    const bundle = bundleOf();
    const both = await store(ingest, bundle);
    await store(replica, bundle);
    expect(await listed()).toEqual([...before, both].sort());
    await replica.start();
    const expected = [...before, both, spooled].sort();
    await eventually(async () => (await listed()).length === expected.length, "the uploads are confirmed");
    expect(await listed(2)).toEqual(expected);
    const unconfirmed = "select from upload where state <> 'confirmed'";
    await eventually(async () => (await ingest.database.query(unconfirmed)).rowCount === 0, "all are confirmed");
    expect(await listed(2)).toEqual(expected);
  });

  test("needs the service token of cas-gateway", async () => {
    const ask = { organizationId: ingest.organizationId, backendId: randomUUID() };
    const admin = createClient(ReferenceService, await ingest.as("admin"));
    expect(await refusal(admin.listBundles(ask))).toBe("ROLE_INSUFFICIENT");
    const other = createClient(ReferenceService, ingest.asService("workflow-run"));
    expect(await refusal(other.listBundles(ask))).toBe("ROLE_INSUFFICIENT");
  });

  test.each([
    [{ organizationId: "x" }, "REQUEST_INVALID"],
    [{ backendId: "" }, "REQUEST_INVALID"],
    [{ afterDigest: "sha256:00" }, "DIGEST_INVALID"],
    [{ pageSize: -1 }, "REQUEST_INVALID"],
    [{ pageSize: 10_001 }, "REQUEST_INVALID"],
  ])("refuses %j", async (wrong, reason) => {
    const right = { organizationId: randomUUID(), backendId: randomUUID() };
    expect(await refusal(references.listBundles({ ...right, ...wrong }))).toBe(reason);
  });

  test("is answered from the two indexes alone", async () => {
    const client = await ingest.database.connect();
    try {
      await client.query("begin");
      await client.query("set local enable_seqscan = off");
      const plan = async (table: string, condition: string) => {
        const { rows } = await client.query<{ "QUERY PLAN": string }>(
          `explain select distinct digest, size_bytes from ${table} where organization_id = '${randomUUID()}'
             and backend_id = '${randomUUID()}' and digest > '\\x00' and ${condition} order by digest, size_bytes limit 10`,
        );
        return rows.map((row) => row["QUERY PLAN"]).join("\n");
      };
      expect(await plan("upload", "state = 'confirmed'")).toContain(
        "Index Only Scan using upload_confirmed_digest_idx",
      );
      expect(await plan("attestation", "mode = 'cas'")).toContain("Index Only Scan using attestation_cas_digest_idx");
    } finally {
      await client.query("rollback");
      client.release();
    }
  });
});
