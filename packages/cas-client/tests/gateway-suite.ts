import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import fc from "fast-check";
import { chunksOf, type Gateway, randomBlob, startGateway } from "../../../services/cas-gateway/tests/harness.ts";
import { eventually } from "../../../services/cas-gateway/tests/scrub-world.ts";
import type { Store } from "../../../services/cas-gateway/tests/stores.ts";
import { ClientUpload } from "../../../services/cas-gateway/tests/writing.ts";
import { type CuttingProxy, startCuttingProxy } from "../../cli/tests/cutting-proxy.ts";
import { grpcTransport } from "../../cli/tests/strict-store.ts";
import { GrpcTransport } from "../../service-kit/src/client/grpc-transport.ts";
import {
  describeBlob,
  downloadBlob,
  downloadToFile,
  findMissing,
  uploadBlob,
  uploadIdOf,
  uploadMany,
} from "../src/index.ts";

const mebibyte = 1024 * 1024;

/** The client against a gateway on this store, through a proxy that cuts connections. */
export function gatewaySuite(start: () => Promise<Store>): void {
  let folder: string;
  let store: Store;
  let gateway: Gateway;
  let proxy: CuttingProxy;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "attestry-cas-client-"));
    store = await start();
    gateway = await startGateway(store.secret);
  });

  afterAll(async () => {
    await gateway?.close();
    await store?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  beforeEach(async () => {
    proxy = await startCuttingProxy(gateway.url);
  });

  afterEach(() => proxy.stop());

  const writer = () => gateway.casToken();
  const reader = () => gateway.casToken({ role: "downloader" });

  test("an upload that is cut twice goes on and is stored", async () => {
    const { bytes, ...blob } = randomBlob(40 * mebibyte);
    proxy.rules.cutAfterSent = [32 * mebibyte, 12 * mebibyte];
    const open = opener(bytes, mebibyte);
    await uploadBlob(grpcTransport(proxy.url), { ...blob, open, token: writer, stallMs: 20_000 });
    // Without going on: 84 MiB. A store with parts loses those that were not full or still on their way.
    expect(proxy.sent).toBeLessThan(72 * mebibyte);
    expect((await downloadBlob(gateway.transport, { ...blob, token: reader })).equals(bytes)).toBe(true);
  });

  test("an upload goes on for another process by its id, and ends early for what is there", async () => {
    const whole = randomBlob(32 * mebibyte);
    const { bytes, ...blob } = whole;
    const uploadId = uploadIdOf(blob.digest, "host /a");
    const open = opener(bytes, mebibyte);
    const upload = new ClientUpload(whole, await writer(), `uploads/${uploadId}/blobs/${blob.hex}/${blob.sizeBytes}`);
    const isKept = async () => (await upload.status(gateway.transport)).committed >= 16 * mebibyte;
    /** A part that is still on its way to a slow store would be lost with the connection: it waits for two. */
    async function* sure(offset: number) {
      yield* chunksOf(bytes.subarray(offset, 18 * mebibyte), mebibyte);
      await eventually(isKept, "two parts are kept");
      yield* open(Math.max(offset, 18 * mebibyte));
    }
    proxy.rules.cutAfterSent = [20 * mebibyte, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const killed = uploadBlob(grpcTransport(proxy.url), { ...blob, open: sure, uploadId, token: writer, stallMs: 0 });
    await expect(killed).rejects.toThrow();
    proxy.rules.cutAfterSent = [];
    proxy.sent = 0;
    await uploadBlob(grpcTransport(proxy.url), { ...blob, open, uploadId, token: writer });
    expect(proxy.sent).toBeLessThan(22 * mebibyte);
    expect(await describeBlob(gateway.transport, { ...blob, token: reader })).toMatchObject({
      sizeBytes: blob.sizeBytes,
    });
    proxy.sent = 0;
    await uploadBlob(grpcTransport(proxy.url), { ...blob, open, uploadId, token: writer });
    expect(proxy.sent).toBeLessThan(mebibyte);
  });

  test("two at once with one id are both stored", async () => {
    const { bytes, ...blob } = randomBlob(24 * mebibyte);
    const uploadId = uploadIdOf(blob.digest, "host /b");
    proxy.rules.cutAfterSent = [12 * mebibyte];
    const upload = () => {
      const open = opener(bytes, mebibyte);
      return uploadBlob(grpcTransport(proxy.url), { ...blob, open, uploadId, token: writer, stallMs: 20_000 });
    };
    await Promise.all([upload(), upload()]);
    expect((await downloadBlob(gateway.transport, { ...blob, token: reader })).equals(bytes)).toBe(true);
  });

  test("a download that is cut goes on, to a file as well", async () => {
    const { bytes, ...blob } = randomBlob(24 * mebibyte);
    await uploadBlob(gateway.transport, { ...blob, bytes, token: writer });
    proxy.rules.cutAfterReceived = [9 * mebibyte, 5 * mebibyte];
    expect((await downloadBlob(grpcTransport(proxy.url), { ...blob, token: reader })).equals(bytes)).toBe(true);
    expect(proxy.received).toBeLessThan(26 * mebibyte);
    proxy.rules.cutAfterReceived = [9 * mebibyte];
    const target = path.join(folder, "out");
    await downloadToFile(grpcTransport(proxy.url), { ...blob, token: reader, path: target });
    expect((await readFile(target)).equals(bytes)).toBe(true);
    const range = { offset: 5_000_000, limit: 7_000_000 };
    const part = await downloadBlob(gateway.inProcess, { ...blob, ...range, token: reader });
    expect(part.equals(bytes.subarray(5_000_000, 12_000_000))).toBe(true);
  });

  test("the transport of the services goes on as well, up and down", async () => {
    const { bytes, ...blob } = randomBlob(24 * mebibyte);
    proxy.rules.cutAfterSent = [10 * mebibyte];
    const transport = new GrpcTransport(proxy.url);
    try {
      const patience = { timeoutMs: 30_000, stallMs: 20_000 };
      await uploadBlob(transport, { ...blob, ...patience, bytes, token: writer });
      expect(proxy.connections).toBeGreaterThan(1);
      proxy.rules.cutAfterReceived = [0, 9 * mebibyte];
      transport.close();
      const fresh = new GrpcTransport(proxy.url);
      expect((await downloadBlob(fresh, { ...blob, ...patience, token: reader })).equals(bytes)).toBe(true);
      fresh.close();
      expect(proxy.received).toBeGreaterThan(bytes.byteLength);
    } finally {
      transport.close();
    }
  });

  test("many blobs of all sizes, over the network and in process", async () => {
    for (const transport of [gateway.transport, gateway.inProcess]) {
      const blobs = [0, 1, 1_000, 300_000, 512 * 1024, 512 * 1024 + 1, 2_000_000, 9_000_000]
        .flatMap((size) => [randomBlob(size), randomBlob(size)])
        .map(({ bytes, ...blob }) => ({ ...blob, open: opener(bytes, 100_000) }));
      const outcomes: string[] = [];
      await uploadMany(transport, { blobs, token: writer, onResult: ({ outcome }) => outcomes.push(outcome) });
      expect(outcomes).toHaveLength(blobs.length);
      expect(outcomes).not.toContain("failed");
      expect(await findMissing(transport, { blobs, token: writer })).toEqual([]);
    }
  });

  test("whatever the chunks and wherever it is cut, what is stored is the blob", async () => {
    const history = fc.record({
      size: fc.integer({ min: 1, max: 12 * mebibyte }),
      chunk: fc.integer({ min: 10_000, max: 3 * mebibyte }),
      cuts: fc.array(fc.integer({ min: 0, max: 10 * mebibyte }), { maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(history, async ({ size, chunk, cuts }) => {
        const { bytes, ...blob } = randomBlob(size);
        proxy.rules.cutAfterSent = [...cuts];
        proxy.rules.cutAfterReceived = [];
        const transport = grpcTransport(proxy.url);
        // A connection that is cut before anything went through it counts as one in vain.
        const patience = { stallMs: 20_000, reachedBefore: true };
        await uploadBlob(transport, { ...blob, ...patience, open: opener(bytes, chunk), token: writer });
        proxy.rules.cutAfterReceived = [...cuts];
        proxy.rules.cutAfterSent = [];
        const got = await downloadBlob(grpcTransport(proxy.url), { ...blob, ...patience, token: reader });
        expect(got.equals(bytes)).toBe(true);
      }),
      { numRuns: 12, interruptAfterTimeLimit: 40_000, markInterruptAsFailure: false },
    );
  });
}

function opener(bytes: Buffer, chunk: number) {
  return (offset: number) => chunksOf(bytes.subarray(offset), chunk);
}
