import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { describeWith } from "@attestry/dev-env";
import { createLogger, createMetrics } from "@attestry/service-kit";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { createTelemetry } from "../src/telemetry.ts";
import { UploadSweeper } from "../src/uploads/upload-sweeper.ts";
import { chunksOf, randomBlob, type TestBlob } from "./blobs.ts";
import { type FaultyStore, startFaultyStore } from "./faulty-store.ts";
import { type Bucket, startBucket } from "./s3-bucket.ts";

const mebibyte = 1024 * 1024;
const sizeBytes = 32 * mebibyte;
const uploadRetentionMs = 4_000;
const { signal } = new AbortController();
const keyOf = ({ hex }: TestBlob) => `blobs/${hex}`;

describeWith(["minio"], "unfinished uploads in a bucket", () => {
  let bucket: Bucket;
  beforeAll(async () => {
    bucket = await startBucket();
  });
  afterAll(() => bucket.stop());
  const faultyStores: FaultyStore[] = [];
  afterEach(async () => {
    for (const store of faultyStores.splice(0)) await store.close();
  });

  async function* half(blob: TestBlob) {
    yield* chunksOf(blob.bytes.subarray(0, sizeBytes / 2), mebibyte);
    throw new Error("the client died");
  }

  const unfinished = async (prefix: string) =>
    (await bucket.leftovers(prefix)).filter((name) => name.startsWith("unfinished"));

  /** Closed after the test. */
  async function faultyStore(): Promise<FaultyStore> {
    const store = await startFaultyStore(bucket.options.endpoint.href);
    faultyStores.push(store);
    return store;
  }

  /** A process that sends half of some blobs, and is killed with the signal that nobody can hear. */
  async function killedGateway(prefix: string, count: number): Promise<void> {
    // Patient: a part that fails on a busy machine would not be missed before the next one.
    const options = { ...bucket.options, prefix, uploadRetentionMs, requestTimeoutMs: 30_000 };
    const program = new URL("s3-writer-process.ts", import.meta.url).pathname;
    const args = ["--disable-warning=ExperimentalWarning", program, JSON.stringify({ options, count, sizeBytes })];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const exited = once(child, "exit");
    await Promise.race([once(child.stdout, "data"), exited]);
    const until = Date.now() + 30_000;
    while ((await unfinished(prefix)).length < count && child.exitCode === null && Date.now() < until) await sleep(50);
    child.kill("SIGKILL");
    expect(await exited).toEqual([null, "SIGKILL"]);
  }

  test("C38: what killed clients, killed gateways and failing aborts left is gone after the retention and one sweep", async () => {
    const prefix = "swept/";
    const faulty = await faultyStore();
    const backend = bucket.backend({ prefix, uploadRetentionMs });
    const hindered = bucket.backend({ prefix, uploadRetentionMs, endpoint: faulty.endpoint });
    faulty.fate = (line) => (line.startsWith("DELETE") ? { status: 500, body: "" } : "pass");
    await killedGateway(prefix, 10);
    await killedGateway("neighbour/", 1);
    const resumable = () => ({ uploadId: crypto.randomUUID(), offset: 0, keepAfter: () => true });
    for (let i = 0; i < 5; i++) {
      const [killed, unaborted] = [randomBlob(sizeBytes), randomBlob(sizeBytes)];
      const kept = backend.write(keyOf(killed), killed, half(killed), { signal, resumable: resumable() });
      await expect(kept).rejects.toThrow("the client died");
      await expect(hindered.write(keyOf(unaborted), unaborted, half(unaborted), { signal })).rejects.toThrow("died");
    }
    const left = await unfinished(prefix);
    expect(left.length).toBeGreaterThan(15);
    expect(await backend.sweep(new Date(Date.now() - 3_600_000), signal)).toBe(0);
    expect(await unfinished(prefix)).toEqual(left);

    // One more, of a client that is slower than the retention.
    const live = randomBlob(sizeBytes);
    async function* slow() {
      yield* chunksOf(live.bytes.subarray(0, sizeBytes / 2), mebibyte);
      await sleep(2 * uploadRetentionMs);
      yield* chunksOf(live.bytes.subarray(sizeBytes / 2), mebibyte);
    }
    const writing = backend.write(keyOf(live), live, slow(), { signal, resumable: resumable() });
    const theirs = await bucket.leftovers("neighbour/");
    await sleep(1.3 * uploadRetentionMs);
    const another = bucket.backend({ prefix, uploadRetentionMs });
    const metrics = createMetrics();
    const sweeper = new UploadSweeper({
      backends: { inUse: () => [{ organization: "acme", provider: "s3", backend: another }] },
      ...{ telemetry: createTelemetry(metrics), uploadRetentionMs },
      logger: createLogger({ name: "cas-gateway", level: "silent" }),
    });
    await sweeper.sweepAll(signal);
    const swept = await metrics.getSingleMetric("cas_gateway_uploads_swept_total")?.get();
    expect(swept?.values.map(({ value }) => value)).toEqual([20]);
    expect(await unfinished(prefix)).toHaveLength(1);
    await writing;
    expect((await bucket.leftovers(prefix)).map((name) => name.replace(/[^/]+$/, "")).sort()).toEqual([
      "swept/blobs/",
      `swept/data/${keyOf(live)}/`,
    ]);
    expect(await bucket.leftovers("neighbour/")).toEqual(theirs);
    expect(theirs.filter((name) => name.startsWith("unfinished"))).toHaveLength(1);
  }, 90_000);

  test("a sweep goes on past what it cannot remove, and says so", async () => {
    const prefix = "faulty/";
    const faulty = await faultyStore();
    const backend = bucket.backend({ prefix, endpoint: faulty.endpoint, requestTimeoutMs: 3_000 });
    const resumable = () => ({ uploadId: crypto.randomUUID(), offset: 0, keepAfter: () => true });
    for (let i = 0; i < 3; i++) {
      const blob = randomBlob(sizeBytes);
      const writing = backend.write(keyOf(blob), blob, half(blob), { signal, resumable: resumable() });
      await expect(writing).rejects.toThrow("the client died");
    }
    let stuck: string | undefined;
    faulty.fate = (line) => {
      if (line.startsWith("DELETE") && line.includes("uploadId")) stuck ??= line.split("?")[0] ?? "";
      return stuck !== undefined && line.startsWith(stuck) ? { status: 403, body: "" } : "pass";
    };
    const later = new Date(Date.now() + 60_000);
    await expect(backend.sweep(later, signal)).rejects.toMatchObject({ code: "BACKEND_MISCONFIGURED" });
    expect(await unfinished(prefix)).toHaveLength(1);
    faulty.fate = () => "pass";
    expect(await backend.sweep(later, signal)).toBe(1);
    expect(await bucket.leftovers(prefix)).toEqual([]);
  }, 30_000);

  test("data that was completed and never referenced is swept, and such that is referenced is not", async () => {
    const prefix = "completed/";
    const faulty = await faultyStore();
    const backend = bucket.backend({ prefix, endpoint: faulty.endpoint, requestTimeoutMs: 3_000 });
    const [unreferenced, unrecorded] = [randomBlob(9 * mebibyte), randomBlob(9 * mebibyte)];
    const write = (blob: TestBlob) => backend.write(keyOf(blob), blob, chunksOf(blob.bytes, mebibyte), { signal });
    faulty.fate = (line) => (/^PUT .*\/completed\/blobs/.test(line) ? { status: 403, body: "" } : "pass");
    await expect(write(unreferenced)).rejects.toMatchObject({ code: "BACKEND_MISCONFIGURED" });
    faulty.fate = (line) => (/^DELETE .*\/uploads/.test(line) ? { status: 403, body: "" } : "pass");
    await write(unrecorded);
    faulty.fate = () => "pass";
    expect(await backend.describe(keyOf(unreferenced), signal)).toBeUndefined();
    expect((await bucket.leftovers(`${prefix}data/`)).length).toBe(2);
    expect(await backend.sweep(new Date(Date.now() + 60_000), signal)).toBe(1);
    expect(await bucket.leftovers(`${prefix}data/`)).toEqual([expect.stringContaining(unrecorded.hex)]);
    expect(await bucket.leftovers(`${prefix}uploads/`)).toEqual([]);
    expect((await backend.describe(keyOf(unrecorded), signal))?.sizeBytes).toBe(unrecorded.sizeBytes);
  });

  test.each(["deleting", "replacing"])("data that a gateway left behind while %s is swept", async (what) => {
    const prefix = `left-${what}/`;
    const faulty = await faultyStore();
    const backend = bucket.backend({ prefix, endpoint: faulty.endpoint, requestTimeoutMs: 3_000 });
    const blob = randomBlob(9 * mebibyte);
    const write = () => backend.write(keyOf(blob), blob, chunksOf(blob.bytes, mebibyte), { signal });
    await write();
    if (what === "replacing") await bucket.spoil(prefix, keyOf(blob), Buffer.from("wrong"));
    faulty.fate = (line) => (/^DELETE .*\/data\//.test(line) ? { status: 403, body: "" } : "pass");
    const act = what === "deleting" ? backend.delete(keyOf(blob), signal) : write();
    await expect(act).rejects.toMatchObject({ code: "BACKEND_MISCONFIGURED" });
    faulty.fate = () => "pass";
    await backend.sweep(new Date(Date.now() + 60_000), signal);
    const left = await bucket.leftovers(prefix);
    expect(left.filter((name) => name.includes("/data/"))).toHaveLength(what === "deleting" ? 0 : 1);
    expect(left.filter((name) => name.includes("/uploads/"))).toEqual([]);
  });

  test.each([
    ["11 MiB", 11 * mebibyte],
    ["13 MiB", 13 * mebibyte],
  ])("C36: %s for a blob of 12 MiB are refused, and nothing is left", async (_what, came) => {
    const prefix = "c36/";
    const backend = bucket.backend({ prefix });
    const blob = randomBlob(12 * mebibyte);
    const bytes = Buffer.concat([blob.bytes, blob.bytes]).subarray(0, came);
    const resumable = { uploadId: crypto.randomUUID(), offset: 0, keepAfter: () => true };
    const writing = backend.write(keyOf(blob), blob, chunksOf(bytes, mebibyte), { signal, resumable });
    await expect(writing).rejects.toMatchObject({ code: "SIZE_MISMATCH" });
    expect(await bucket.leftovers(prefix)).toEqual([]);
  });
});
