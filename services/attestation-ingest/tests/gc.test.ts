import { randomUUID } from "node:crypto";
import { GcOutcome, GcService } from "@attestry/api/ingest";
import { StorageMode } from "@attestry/api/run";
import { DomainError } from "@attestry/service-kit";
import { type Client, createClient } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
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
let gc: Client<typeof GcService>;
let backendId: string;

beforeAll(async () => {
  ingest = await createTestIngest();
  gc = createClient(GcService, await ingest.as("admin"));
  backendId = ingest.run.useExternal();
  ingest.run.storageMode = StorageMode.CAS;
});
afterAll(() => ingest.destroy());
afterEach(async () => {
  jest.restoreAllMocks();
  ingest.gateway.recover();
  ingest.gateway.blobs.clear();
  ingest.run.beforeToken = () => undefined;
  ingest.run.beforeComplete = () => undefined;
  await ingest.database.query("delete from attestation");
  await ingest.database.query("delete from intent");
});

const hexBytes = (bundle: Buffer) => Buffer.from(digestOf(bundle).slice(7), "hex");
const key = (bundle: Buffer) => `${backendId}:${digestOf(bundle)}`;

/** A blob that nothing refers to, as a Store leaves it that dies after its upload, so long ago. */
async function unused(bundle = bundleOf(), age = "25 hours", organizationId = ingest.organizationId): Promise<Buffer> {
  ingest.gateway.blobs.set(key(bundle), bundle);
  await ingest.database.query(
    `insert into intent (organization_id, backend_id, digest, touched) values ($1, $2, $3, now() - $4::interval)`,
    [organizationId, backendId, hexBytes(bundle), age],
  );
  return bundle;
}

async function intents(): Promise<{ state: string; touched: Date }[]> {
  return (await ingest.database.query("select * from intent")).rows;
}

async function outcomes(): Promise<GcOutcome[]> {
  return (await gc.collect({})).blobs.map(({ outcome }) => outcome);
}

describe("gc", () => {
  test("a dry run names what is unused, and changes nothing", async () => {
    const bundle = await unused();
    await unused(bundleOf(), "23 hours");
    const before = await ingest.snapshot();
    const { blobs } = await gc.list({});
    expect(blobs).toEqual([expect.objectContaining({ digest: digestOf(bundle), backendId, referred: false })]);
    expect(await ingest.snapshot()).toEqual(before);
    expect(ingest.gateway.blobs.size).toBe(2);
  });

  test("deletes what is unused with its intent; what is younger than a day stays", async () => {
    const old = await unused();
    const young = await unused(bundleOf(), "23 hours");
    expect(await outcomes()).toEqual([GcOutcome.DELETED]);
    expect([...ingest.gateway.blobs.keys()]).toEqual([key(young)]);
    expect(await intents()).toHaveLength(1);
    expect(ingest.gateway.blobs.has(key(old))).toBe(false);
  });

  test("keeps what an attestation refers to, and drops the note", async () => {
    const bundle = bundleOf();
    await storeOne(ingest, bundle);
    await unused(bundle);
    expect((await gc.list({})).blobs).toEqual([expect.objectContaining({ referred: true })]);
    expect(await outcomes()).toEqual([GcOutcome.KEPT]);
    expect(ingest.gateway.blobs.has(key(bundle))).toBe(true);
    expect(await intents()).toEqual([]);
  });

  test("keeps what is still to be uploaded, and what a row without an upload row refers to", async () => {
    ingest.run.storageMode = StorageMode.DATABASE;
    const queued = bundleOf();
    await storeOne(ingest, queued);
    const forgotten = bundleOf();
    await storeOne(ingest, forgotten);
    ingest.run.storageMode = StorageMode.CAS;
    await ingest.database.query("delete from upload where digest = $1", [hexBytes(forgotten)]);
    await unused(queued);
    await unused(forgotten);
    expect(await outcomes()).toEqual([GcOutcome.KEPT, GcOutcome.KEPT]);
    expect(ingest.gateway.blobs.size).toBe(2);
  });

  test("a Store of the same bytes meanwhile is told to wait, and then uploads them anew", async () => {
    const bundle = await unused();
    let meanwhile: string | undefined;
    ingest.gateway.beforeDelete = async () => {
      meanwhile = await refusal(storeOne(ingest, bundle));
    };
    expect(await outcomes()).toEqual([GcOutcome.DELETED]);
    expect(meanwhile).toBe("GC_UNDER_WAY");
    // The Store noted it anew, so the note stays.
    expect(await intents()).toEqual([expect.objectContaining({ state: "idle" })]);
    await storeOne(ingest, bundle);
    expect(ingest.gateway.blobs.has(key(bundle))).toBe(true);
    expect(await intents()).toEqual([]);
  });

  test("a Store that noted it before gc came keeps it", async () => {
    const bundle = await unused();
    let outcome: GcOutcome[] = [];
    ingest.gateway.beforeWrite = async () => {
      outcome = await outcomes();
    };
    await storeOne(ingest, bundle);
    expect(outcome).toEqual([]);
    expect(ingest.gateway.blobs.has(key(bundle))).toBe(true);
  });

  test("a row that comes while gc deletes is uploaded once gc is done", async () => {
    const bundle = await unused();
    ingest.run.storageMode = StorageMode.DATABASE;
    ingest.run.beforeToken = async () => {
      ingest.run.beforeToken = () => undefined;
      // In mode database the upload waits for gc: no worker claims it while the mark stands.
      await storeOne(ingest, bundle);
    };
    expect(await outcomes()).toEqual([GcOutcome.DELETED]);
    ingest.run.storageMode = StorageMode.CAS;
    await withWorker(ingest, () =>
      eventually(() => ingest.gateway.blobs.has(key(bundle)), "the queued upload is done after gc"),
    );
  });

  test("two at once: one deletes, the other leaves it alone", async () => {
    await unused();
    let second: GcOutcome[] | undefined;
    ingest.gateway.beforeDelete = async () => {
      second ??= await outcomes();
    };
    expect(await outcomes()).toEqual([GcOutcome.DELETED]);
    // Not even listed while the lease holds.
    expect(second).toEqual([]);
    expect(await intents()).toEqual([]);
  });

  test("an unknown outcome leaves the mark until the lease ends; then another gc takes over", async () => {
    const bundle = await unused();
    ingest.gateway.beforeDelete = () => {
      throw new DomainError("BACKEND_UNAVAILABLE", "the store does not answer");
    };
    const { blobs } = await gc.collect({});
    expect(blobs).toEqual([
      expect.objectContaining({ outcome: GcOutcome.FAILED, error: expect.stringContaining("does not answer") }),
    ]);
    expect(await intents()).toEqual([expect.objectContaining({ state: "deleting" })]);
    ingest.gateway.recover();
    expect(await outcomes()).toEqual([]);
    await ingest.database.query("update intent set gc_until = now() - interval '1 second'");
    expect(await outcomes()).toEqual([GcOutcome.DELETED]);
    expect(ingest.gateway.blobs.has(key(bundle))).toBe(false);
    expect(await intents()).toEqual([]);
  });

  test("without a token nothing was sent: it can be tried again at once", async () => {
    await unused();
    ingest.run.beforeToken = () => {
      throw new DomainError("BACKEND_NOT_FOUND", "no such backend");
    };
    expect(await outcomes()).toEqual([GcOutcome.FAILED]);
    expect(await intents()).toEqual([expect.objectContaining({ state: "idle", gc_owner: null })]);
    ingest.run.beforeToken = () => undefined;
    expect(await outcomes()).toEqual([GcOutcome.DELETED]);
  });

  test("stopped for minutes after its mark it sends nothing: the gateway's clock may be behind and let it through", async () => {
    const bundle = await unused();
    ingest.run.beforeToken = () => {
      const later = performance.now() + 241_000;
      jest.spyOn(performance, "now").mockReturnValue(later);
    };
    expect(await outcomes()).toEqual([GcOutcome.FAILED]);
    jest.restoreAllMocks();
    expect(ingest.gateway.blobs.has(key(bundle))).toBe(true);
    expect(await intents()).toEqual([expect.objectContaining({ state: "idle", gc_owner: null })]);
  });

  test("a gc whose lease was taken over ends neither the lease nor the note of the other", async () => {
    const bundle = await unused();
    ingest.gateway.beforeDelete = async () => {
      ingest.gateway.beforeDelete = () => undefined;
      await ingest.database.query("update intent set gc_owner = gen_random_uuid()");
    };
    expect(await outcomes()).toEqual([GcOutcome.DELETED]);
    expect(ingest.gateway.blobs.has(key(bundle))).toBe(false);
    expect(await intents()).toEqual([expect.objectContaining({ state: "deleting" })]);
  });

  test("pages, so that one that fails holds up none behind it", async () => {
    for (let n = 0; n < 5; n++) await unused();
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await gc.list({ pageSize: 2, pageToken });
      seen.push(...page.blobs.map(({ digest }) => digest));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(new Set(seen).size).toBe(5);
    expect(seen).toHaveLength(5);
    expect(await refusal(gc.list({ pageToken: "x.y" }))).toBe("PAGE_TOKEN_INVALID");
    expect(await refusal(gc.list({ pageSize: 201 }))).toBe("PAGE_SIZE_INVALID");
  });

  test("another organization's are not seen, and only an admin may", async () => {
    await unused(bundleOf(), "25 hours", randomUUID());
    expect((await gc.list({})).blobs).toEqual([]);
    expect(await outcomes()).toEqual([]);
    expect(ingest.gateway.blobs.size).toBe(1);
    const ci = createClient(GcService, await ingest.as("ci"));
    expect(await refusal(ci.collect({}))).toBe("ROLE_INSUFFICIENT");
  });
});
