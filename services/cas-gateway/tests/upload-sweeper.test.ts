import { spawn } from "node:child_process";
import { once } from "node:events";
import { utimes } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createLogger, createMetrics } from "@attestry/service-kit";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { Backend } from "../src/backends/backend.ts";
import type { BackendInUse } from "../src/backends/backend-pool.ts";
import { createTelemetry } from "../src/telemetry.ts";
import { UploadSweeper } from "../src/uploads/upload-sweeper.ts";
import { blobOf, chunksOf, randomBlob } from "./blobs.ts";
import { failingAfter, keyOf, oneDayMs, readWith, resumable, signal } from "./contract/subject.ts";
import { startFolder } from "./folder-store.ts";
import { MemoryBackend, MemoryStore } from "./memory-backend.ts";

/** Long enough for a busy machine to say in time that an upload lives. */
const uploadRetentionMs = 4_000;
const sizeBytes = 8 * 1024 * 1024;

describe("the sweeper", () => {
  let store: Awaited<ReturnType<typeof startFolder>>;
  beforeEach(async () => {
    store = await startFolder();
  });
  afterEach(() => store.stop());

  function sweeperOf(...backends: Backend[]) {
    const metrics = createMetrics();
    const inUse = backends.map((backend): BackendInUse => ({ organization: "acme", provider: "filesystem", backend }));
    const sweeper = new UploadSweeper({
      ...{ backends: { inUse: () => inUse }, telemetry: createTelemetry(metrics), uploadRetentionMs },
      logger: createLogger({ name: "cas-gateway", level: "silent" }),
    });
    const swept = async () => {
      const metric = await metrics.getSingleMetric("cas_gateway_uploads_swept_total")?.get();
      return metric?.values.reduce((sum, { value }) => sum + value, 0);
    };
    return { sweeper, swept };
  }

  test("C38: what a killed gateway left can be gone on with until the retention ends; then a sweep removes and counts it", async () => {
    const mine = store.open("acme/", { uploadRetentionMs });
    const theirs = store.open("globex/", { uploadRetentionMs });
    const { sweeper, swept } = sweeperOf(mine);

    const script = fileURLToPath(new URL("stalled-writer-process.ts", import.meta.url));
    const args = [script, join(store.folder, "acme"), "10", String(sizeBytes), String(uploadRetentionMs)];
    const gateway = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    await once(gateway.stdout, "data");
    gateway.kill("SIGKILL");
    await once(gateway, "exit");

    const resumed = blobOf(Buffer.alloc(sizeBytes, 4));
    const uploadId = "00000004-0000-4000-8000-000000000000";
    const offset = await mine.committed(keyOf(resumed), resumed, uploadId, signal);
    expect(offset).toBeGreaterThan(0);
    const rest = chunksOf(resumed.bytes.subarray(offset), 1_000_000);
    await mine.write(keyOf(resumed), resumed, rest, { signal, resumable: resumable(uploadId, offset) });

    for (let i = 0; i < 10; i++) {
      const blob = randomBlob(sizeBytes);
      const breaking = new AbortController();
      const isAborted = i % 2 === 0;
      async function* source() {
        yield* chunksOf(blob.bytes.subarray(0, sizeBytes / 2), 1_000_000);
        if (isAborted) breaking.abort(new Error("killed"));
        else throw new Error("killed");
      }
      const options = { signal: breaking.signal, resumable: resumable(crypto.randomUUID()) };
      await expect(mine.write(keyOf(blob), blob, source(), options)).rejects.toThrow("killed");
    }
    const neighbour = randomBlob(1_000);
    const kept = { signal, resumable: resumable(crypto.randomUUID()) };
    await expect(
      theirs.write(keyOf(neighbour), neighbour, failingAfter(neighbour.bytes.subarray(0, 500)), kept),
    ).rejects.toThrow("the source failed");

    const live = randomBlob(2_000);
    const isOver = Promise.withResolvers<void>();
    async function* slow() {
      yield live.bytes.subarray(0, 1_000);
      await isOver.promise;
      yield live.bytes.subarray(1_000);
    }
    const writing = store
      .open("acme/", { uploadRetentionMs })
      .write(keyOf(live), live, slow(), { signal, resumable: resumable(crypto.randomUUID()) });
    expect(await mine.sweep(new Date(Date.now() - oneDayMs), signal)).toBe(0);
    expect(await store.leftovers("acme/")).toHaveLength(21);

    await sleep(1.2 * uploadRetentionMs);
    await sweeper.sweepAll(signal);
    expect(await swept()).toBe(19);
    const left = await store.leftovers("acme/");
    expect(left.sort()).toEqual([keyOf(resumed), expect.stringContaining(live.hex)]);
    expect(await store.leftovers("globex/")).toEqual([expect.stringContaining(neighbour.hex)]);
    isOver.resolve();
    await writing;
    expect((await readWith(mine, live))?.equals(live.bytes)).toBe(true);
    expect((await readWith(mine, resumed))?.equals(resumed.bytes)).toBe(true);
    expect((await store.leftovers("acme/")).sort()).toEqual([keyOf(live), keyOf(resumed)].sort());
  }, 60_000);

  test("probes that a killed validation left go with the retention", async () => {
    const backend = store.open("acme/");
    const { sweeper } = sweeperOf(backend);
    const [old, fresh] = [randomBlob(64), randomBlob(64)];
    const probe = (key: string, blob: typeof old) => backend.write(key, blob, chunksOf(blob.bytes, 64), { signal });
    await probe("probes/old", old);
    const longAgo = new Date(Date.now() - 2 * uploadRetentionMs);
    await utimes(join(store.folder, "acme", "probes", "old"), longAgo, longAgo);
    await probe("probes/fresh", fresh);
    await sweeper.sweepAll(signal);
    expect(await store.leftovers("acme/")).toEqual(["probes/fresh"]);
  });

  test("a backend that fails does not keep the others from being swept", async () => {
    const failing = new MemoryBackend(new MemoryStore());
    failing.sweep = async () => {
      throw new Error("the store is away");
    };
    const working = store.open("acme/");
    const { sweeper, swept } = sweeperOf(failing, working);
    const blob = randomBlob(1_000);
    const options = { signal, resumable: resumable(crypto.randomUUID()) };
    const broken = working.write(keyOf(blob), blob, failingAfter(blob.bytes.subarray(0, 500)), options);
    await expect(broken).rejects.toThrow("the source failed");
    await sleep(1.1 * uploadRetentionMs);
    await sweeper.sweepAll(signal);
    expect(await swept()).toBe(1);
  });

  test("begins at once when it is started, and ends when it is told to", async () => {
    const backend = new MemoryBackend(new MemoryStore());
    const called = Promise.withResolvers<AbortSignal>();
    backend.sweep = async (_before, signal) => {
      called.resolve(signal);
      return new Promise(() => undefined);
    };
    const { sweeper } = sweeperOf(backend);
    sweeper.start();
    const sweepSignal = await called.promise;
    await sweeper.destroy();
    expect(sweepSignal.aborted).toBe(true);
  });
});
