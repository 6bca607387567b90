import { randomUUID } from "node:crypto";
import { AttestationService } from "@attestry/api/ingest";
import { StorageMode } from "@attestry/api/run";
import { describeWith, testRedis } from "@attestry/dev-env";
import { createClient } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { bundleOf, createTestIngest, digestOf, eventually, refusal, storeOne, type TestIngest } from "./harness.ts";

let ingest: TestIngest;

beforeAll(async () => {
  ingest = await createTestIngest();
});
afterAll(() => ingest.destroy());
afterEach(() => {
  ingest.gateway.recover();
  ingest.run.storageMode = StorageMode.UNSPECIFIED;
});

const byRun = (value: string) => ({ by: { case: "runId", value } }) as const;
const byDigest = (value: string) => ({ by: { case: "digest", value } }) as const;

/** Changes one byte of the row, as a bad disk would. */
async function corruptRow(runId: string): Promise<void> {
  await ingest.database.query("update attestation set bundle = set_byte(bundle, 3, 120) where run_id = $1", [runId]);
}

describe("Get", () => {
  test("of what is not there, or is of another organization, finds nothing", async () => {
    const bundle = bundleOf();
    const runId = await storeOne(ingest, bundle);
    const stranger = createClient(AttestationService, await ingest.as("admin", randomUUID()));
    expect(await refusal(stranger.get(byRun(runId)))).toBe("ATTESTATION_NOT_FOUND");
    expect(await refusal(stranger.get(byDigest(digestOf(bundle))))).toBe("ATTESTATION_NOT_FOUND");
    expect((await stranger.list({})).attestations).toEqual([]);
    expect(await refusal(ingest.attestations.get(byRun(randomUUID())))).toBe("ATTESTATION_NOT_FOUND");
  });

  test("concurrent reads of one digest share one load", async () => {
    ingest.run.storageMode = StorageMode.CAS;
    ingest.run.useExternal();
    const runId = await storeOne(ingest);
    const reads = ingest.gateway.calls.read;
    ingest.gateway.beforeRead = () => new Promise((resolve) => setTimeout(resolve, 50));
    await Promise.all(Array.from({ length: 20 }, () => ingest.attestations.get(byRun(runId))));
    expect(ingest.gateway.calls.read - reads).toBe(1);
  });

  test("a row with other bytes than its digest says is BUNDLE_CORRUPT", async () => {
    const runId = await storeOne(ingest);
    await corruptRow(runId);
    expect(await refusal(ingest.attestations.get(byRun(runId)))).toBe("BUNDLE_CORRUPT");
  });

  test("a corrupt row is passed over for a backend that has the right bytes", async () => {
    const backendId = ingest.run.useExternal();
    const bundle = bundleOf();
    const runId = await storeOne(ingest, bundle);
    await corruptRow(runId);
    ingest.gateway.blobs.set(`${backendId}:${digestOf(bundle)}`, bundle);
    const read = await ingest.attestations.get(byRun(runId));
    expect(Buffer.compare(read.bundle, bundle)).toBe(0);
  });

  test("from the CAS: away, missing and corrupt are three things", async () => {
    ingest.run.storageMode = StorageMode.CAS;
    const backendId = ingest.run.useExternal();
    const bundle = bundleOf();
    const key = `${backendId}:${digestOf(bundle)}`;
    const runId = await storeOne(ingest, bundle);
    ingest.gateway.breakDown();
    expect(await refusal(ingest.attestations.get(byRun(runId)))).toBe("CAS_UNAVAILABLE");
    ingest.gateway.recover();
    ingest.gateway.blobs.set(key, Buffer.alloc(bundle.length));
    expect(await refusal(ingest.attestations.get(byRun(runId)))).toBe("BUNDLE_CORRUPT");
    ingest.gateway.blobs.delete(key);
    expect(await refusal(ingest.attestations.get(byRun(runId)))).toBe("BUNDLE_MISSING");
    ingest.gateway.blobs.set(key, bundle);
    expect(Buffer.compare((await ingest.attestations.get(byRun(runId))).bundle, bundle)).toBe(0);
  });

  test("permission comes from the row, not from the cache", async () => {
    const runId = await storeOne(ingest);
    await ingest.attestations.get(byRun(runId));
    await ingest.database.query("delete from attestation where run_id = $1", [runId]);
    expect(await refusal(ingest.attestations.get(byRun(runId)))).toBe("ATTESTATION_NOT_FOUND");
  });

  test("a bundle near 4 MiB points to Download, which gives it in chunks", async () => {
    const bundle = bundleOf({ pad: 5 * 1024 * 1024 });
    const runId = await storeOne(ingest, bundle);
    expect(await refusal(ingest.attestations.get(byRun(runId)))).toBe("BUNDLE_NEEDS_DOWNLOAD");
    const chunks: Uint8Array[] = [];
    for await (const { part } of ingest.attestations.download(byRun(runId))) {
      if (part.case === "attestation") {
        expect(chunks).toHaveLength(0);
        expect(part.value.sizeBytes).toBe(BigInt(bundle.length));
      } else if (part.case === "chunk") chunks.push(part.value);
    }
    expect(chunks.every((chunk) => chunk.length <= 1024 * 1024)).toBe(true);
    expect(Buffer.concat(chunks).equals(bundle)).toBe(true);
  });

  test("a bundle larger than the cache's share is read all the same", async () => {
    const small = await ingest.replica({ cacheBytes: 1_000 });
    const bundle = bundleOf({ pad: 2_000 });
    const runId = await storeOne(ingest, bundle);
    for (let time = 0; time < 2; time++) {
      expect(Buffer.compare((await small.attestations.get(byRun(runId))).bundle, bundle)).toBe(0);
    }
  });
});

describe("with Redis down", () => {
  test("reads go on, and a metric counts it", async () => {
    const replica = await ingest.replica({ redisUrl: "redis://127.0.0.1:1" });
    const bundle = bundleOf();
    const runId = await storeOne(ingest, bundle);
    const began = Date.now();
    const read = await replica.attestations.get(byRun(runId));
    expect(Date.now() - began).toBeLessThan(1_000);
    expect(Buffer.compare(read.bundle, bundle)).toBe(0);
    expect(await replica.metric("attestry_ingest_cache_skipped_total")).toBeGreaterThan(0);
    await replica.stop();
  });
});

describeWith(["redis"], "with Redis", () => {
  test("a second replica reads from it; what it has wrong is dropped", async () => {
    const redis = new Redis(testRedis());
    const config = { redisUrl: testRedis() };
    const [first, second, third] = await Promise.all([
      ingest.replica(config),
      ingest.replica(config),
      ingest.replica(config),
    ]);
    const bundle = bundleOf();
    const runId = await storeOne(ingest, bundle);
    const key = `attestry:bundle:${ingest.organizationId}:${digestOf(bundle)}`;
    await eventually(async () => (await redis.ping()) === "PONG", "Redis answers");
    await first.attestations.get(byRun(runId));
    await eventually(async () => (await redis.exists(key)) === 1, "kept in Redis");

    await second.attestations.get(byRun(runId));
    expect(await second.metric("attestry_ingest_bundle_reads_total", { source: "redis" })).toBe(1);

    await redis.set(key, Buffer.from("something else"));
    const read = await third.attestations.get(byRun(runId));
    expect(Buffer.compare(read.bundle, bundle)).toBe(0);
    expect(await third.metric("attestry_ingest_bundles_corrupt_total", { source: "redis" })).toBe(1);
    await Promise.all([first.stop(), second.stop(), third.stop()]);
    redis.disconnect();
  });
});
