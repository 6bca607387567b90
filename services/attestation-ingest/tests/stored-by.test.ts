import { randomUUID } from "node:crypto";
import { type Attestation, AttestationService } from "@attestry/api/ingest";
import { StorageMode } from "@attestry/api/run";
import { DomainError } from "@attestry/service-kit";
import { type Client, createClient } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { bundleOf, createTestIngest, digestOf, refusal, storeOne, type TestIngest, withWorker } from "./harness.ts";

let ingest: TestIngest;
let reader: Client<typeof AttestationService>;

beforeAll(async () => {
  ingest = await createTestIngest();
  reader = createClient(AttestationService, await ingest.as("reader"));
});
afterAll(() => ingest.destroy());
afterEach(() => {
  ingest.run.beforeComplete = () => undefined;
  ingest.run.storageMode = StorageMode.UNSPECIFIED;
});

async function ci(tokenId: string): Promise<Client<typeof AttestationService>> {
  return createClient(AttestationService, await ingest.as("ci", ingest.organizationId, tokenId));
}

async function listed(runId: string, filter: object = {}): Promise<Attestation | undefined> {
  return (await reader.list({ ...filter, pageSize: 200 })).attestations.find((one) => one.runId === runId);
}

/** What each call that shows attestations says of the run's, of which no other has the bytes. */
async function shown(runId: string, digest: string): Promise<(string | undefined)[]> {
  const byRun = await reader.get({ by: { case: "runId", value: runId } });
  const byDigest = await reader.get({ by: { case: "digest", value: digest } });
  const found = [byRun.attestation, byDigest.attestation, await listed(runId)];
  found.push(await listed(runId, { subjectDigest: `sha256:${"a".repeat(64)}` }));
  for await (const { part } of reader.download({ by: { case: "runId", value: runId } })) {
    if (part.case === "attestation") found.push(part.value);
  }
  return found.map((attestation) => attestation?.tokenId);
}

describe("the token that stored an attestation", () => {
  test.each<[string, boolean, StorageMode]>([
    ["inline", false, StorageMode.UNSPECIFIED],
    ["database", true, StorageMode.DATABASE],
    ["cas", true, StorageMode.CAS],
    ["spool", true, StorageMode.SPOOL],
  ])("is shown by each call that shows one, for each of two tokens: %s", async (_, external, mode) => {
    if (external) ingest.run.useExternal();
    ingest.run.storageMode = mode;
    for (const tokenId of [randomUUID(), randomUUID()]) {
      const [runId, bundle] = [ingest.run.begin(ingest.organizationId), bundleOf()];
      await (await ci(tokenId)).store({ runId, bundle });
      expect(await shown(runId, digestOf(bundle))).toEqual(Array(5).fill(tokenId));
    }
  });

  test("stays the one that did, whoever stores the same again or sees it finished", async () => {
    const [first, second] = [randomUUID(), randomUUID()];
    const [runId, bundle] = [ingest.run.begin(ingest.organizationId), bundleOf()];
    ingest.run.beforeComplete = () => {
      throw new DomainError("PEER_UNAVAILABLE", "away");
    };
    expect(await refusal((await ci(first)).store({ runId, bundle }))).toBe("PEER_UNAVAILABLE");
    ingest.run.beforeComplete = () => undefined;
    await (await ci(second)).store({ runId, bundle });
    await (await ci(second)).store({ runId, bundle });
    expect(await shown(runId, digestOf(bundle))).toEqual(Array(5).fill(first));
  });

  test("stays when spool has given the bytes to the backend", async () => {
    ingest.run.useExternal();
    ingest.run.storageMode = StorageMode.SPOOL;
    const tokenId = randomUUID();
    const [runId, bundle] = [ingest.run.begin(ingest.organizationId), bundleOf()];
    await (await ci(tokenId)).store({ runId, bundle });
    const spooled = "select 1 from attestation where run_id = $1 and bundle is not null";
    await withWorker(ingest, async () => {
      while ((await ingest.database.query(spooled, [runId])).rowCount)
        await new Promise((done) => setTimeout(done, 20));
    });
    expect(await shown(runId, digestOf(bundle))).toEqual(Array(5).fill(tokenId));
  });

  test("is not known of the row of an older build, which is read all the same", async () => {
    const bundle = bundleOf();
    const runId = await storeOne(ingest, bundle);
    await ingest.database.query("update attestation set token_id = null where run_id = $1", [runId]);
    expect(await shown(runId, digestOf(bundle))).toEqual(Array(5).fill(""));
  });
});
