import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { type CuttingProxy, startCuttingProxy } from "../../cli/tests/cutting-proxy.ts";
import { type FakeServer, refusal, startFakeServer } from "../../cli/tests/fake-server.ts";
import { grpcTransport, StrictStore, sha256 } from "../../cli/tests/strict-store.ts";
import { downloadBlob, downloadToFile, fileSource, readBlob, uploadBlob, uploadIdOf } from "../src/index.ts";

jest.setTimeout(30_000);

const mebibyte = 1024 * 1024;
const token = "token";

let store: StrictStore;
let server: FakeServer;
let proxy: CuttingProxy;
let folder: string;

beforeEach(async () => {
  // The fake server's framework tells of each connection that is cut.
  jest.spyOn(console, "error").mockImplementation(() => undefined);
  store = new StrictStore();
  server = await startFakeServer(store.routes);
  proxy = await startCuttingProxy(server.url);
  folder = await mkdtemp(path.join(tmpdir(), "attestry-cas-client-"));
});

afterEach(async () => {
  await proxy.stop();
  await server.stop();
  await rm(folder, { recursive: true });
});

function blobOf(bytes: Buffer) {
  return { bytes, digest: `sha256:${sha256(bytes)}`, sizeBytes: bytes.byteLength };
}

function inStore(bytes: Buffer) {
  const blob = blobOf(bytes);
  store.blobs.set(sha256(bytes), bytes);
  return blob;
}

async function* inChunks(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

describe("an upload that breaks off", () => {
  test("goes on where the store has it, with a fresh token, and is stored whole", async () => {
    const { bytes, ...blob } = blobOf(randomBytes(12 * mebibyte));
    proxy.rules.cutAfterSent = [5 * mebibyte, 4 * mebibyte];
    let tokens = 0;
    const waits: string[] = [];
    const answer = await uploadBlob(grpcTransport(proxy.url), {
      ...blob,
      open: (offset) => inChunks(bytes.subarray(offset), 300_000),
      token: async () => `token-${++tokens}`,
      onRetry: (fault) => waits.push(fault.name),
    });
    expect(answer).toEqual({ committedSize: blob.sizeBytes });
    expect(store.blobs.get(sha256(bytes))?.equals(bytes)).toBe(true);
    expect(store.writes).toHaveLength(3);
    expect(store.writes[0]).toBe(0);
    expect(store.writes[1]).toBeGreaterThan(3 * mebibyte);
    expect(store.writes[2]).toBeGreaterThan(6 * mebibyte);
    expect(new Set(store.tokens).size).toBe(3);
    expect(waits).toHaveLength(2);
    // What was under way when the connection was cut is sent again; nothing else.
    expect(proxy.sent).toBeLessThan(16 * mebibyte);
  });

  test("goes on with a buffer too", async () => {
    const blob = blobOf(randomBytes(6 * mebibyte));
    proxy.rules.cutAfterSent = [4 * mebibyte];
    await uploadBlob(grpcTransport(proxy.url), { token, ...blob });
    expect(store.blobs.size).toBe(1);
    expect(store.writes[1]).toBeGreaterThan(0);
  });

  test("ends with its fault when the source can be read only once", async () => {
    const blob = blobOf(randomBytes(6 * mebibyte));
    proxy.rules.cutAfterSent = [4 * mebibyte];
    const uploading = uploadBlob(grpcTransport(proxy.url), { token, ...blob, bytes: inChunks(blob.bytes, 100_000) });
    await expect(uploading).rejects.toBeInstanceOf(ConnectError);
    expect(store.writes).toHaveLength(1);
  });

  test("goes on for another process that has its id, and sends only the rest", async () => {
    const { bytes, ...blob } = blobOf(randomBytes(16 * mebibyte));
    const uploadId = uploadIdOf(blob.digest, "host /a/file");
    expect(uploadIdOf(blob.digest, "host /a/file")).toBe(uploadId);
    expect(uploadIdOf(blob.digest, "host /another/file")).not.toBe(uploadId);
    store.partial.set(`uploads/${uploadId}/blobs/${sha256(bytes)}/${blob.sizeBytes}`, bytes.subarray(0, 10_000_000));
    const progress: number[] = [];
    const open = (offset: number) => inChunks(bytes.subarray(offset), mebibyte);
    const onProgress = (sent: number) => progress.push(sent);
    await uploadBlob(grpcTransport(proxy.url), { token, ...blob, open, uploadId, onProgress });
    expect(store.writes).toEqual([10_000_000]);
    expect(progress[0]).toBe(10_000_000 + mebibyte);
    expect(store.blobs.get(sha256(bytes))?.equals(bytes)).toBe(true);
    await uploadBlob(grpcTransport(proxy.url), { token, ...blob, open, uploadId });
    expect(store.writes).toHaveLength(1);
  });

  test("begins anew when what was kept under its id is something else", async () => {
    const { bytes, ...blob } = blobOf(randomBytes(9 * mebibyte));
    const uploadId = uploadIdOf(blob.digest, "x");
    store.partial.set(`uploads/${uploadId}/blobs/${sha256(bytes)}/${blob.sizeBytes}`, randomBytes(mebibyte));
    const open = (offset: number) => inChunks(bytes.subarray(offset), mebibyte);
    await uploadBlob(grpcTransport(proxy.url), { token, ...blob, open, uploadId });
    expect(store.writes).toEqual([mebibyte, 0]);
    expect(store.blobs.size).toBe(1);
  });

  test("asks once more, then begins at 0, where the store will not go on", async () => {
    const { bytes, ...blob } = blobOf(randomBytes(9 * mebibyte));
    const uploadId = uploadIdOf(blob.digest, "x");
    store.partial.set(`uploads/${uploadId}/blobs/${sha256(bytes)}/${blob.sizeBytes}`, bytes.subarray(0, mebibyte));
    store.before = (call) => {
      if (call === "write" && store.writes.at(-1) !== 0)
        throw refusal(Code.InvalidArgument, "WRITE_OFFSET_INVALID", "not here");
    };
    const open = (offset: number) => inChunks(bytes.subarray(offset), mebibyte);
    await uploadBlob(grpcTransport(proxy.url), { token, ...blob, open, uploadId });
    expect(store.writes.at(-1)).toBe(0);
    expect(store.writes.length).toBeLessThanOrEqual(3);
    expect(store.blobs.size).toBe(1);
  });

  test("is not tried again after a refusal for good, nor for longer than it may stall", async () => {
    const blob = blobOf(randomBytes(mebibyte));
    store.before = () => {
      throw refusal(Code.PermissionDenied, "DIGEST_NOT_ALLOWED", "no");
    };
    await expect(uploadBlob(grpcTransport(proxy.url), { token, ...blob })).rejects.toMatchObject({
      code: Code.PermissionDenied,
    });
    expect(store.writes).toHaveLength(1);
    store.before = () => {
      throw refusal(Code.Unavailable, "BACKEND_UNAVAILABLE", "later", 100);
    };
    const begin = performance.now();
    const stalling = uploadBlob(grpcTransport(proxy.url), { token, ...blob, stallMs: 1_000 });
    await expect(stalling).rejects.toMatchObject({ code: Code.Unavailable, rawMessage: "later" });
    expect(performance.now() - begin).toBeLessThan(1_500);
    expect(store.writes.length).toBeGreaterThan(3);
    const timed = uploadBlob(grpcTransport(proxy.url), { token, ...blob, stallMs: 60_000, timeoutMs: 700 });
    await expect(timed).rejects.toMatchObject({ rawMessage: "later" });
    expect(performance.now() - begin).toBeLessThan(3_000);
  });

  test("ends with its signal while it waits", async () => {
    const blob = blobOf(randomBytes(10));
    store.before = () => {
      throw refusal(Code.Unavailable, "BACKEND_UNAVAILABLE", "later", 5_000);
    };
    const signal = AbortSignal.timeout(300);
    const begin = performance.now();
    await expect(
      uploadBlob(grpcTransport(proxy.url), { token, ...blob, stallMs: 60_000, signal }),
    ).rejects.toBeInstanceOf(ConnectError);
    expect(performance.now() - begin).toBeLessThan(2_000);
  });

  test("gives up soon where nothing listens", async () => {
    const begin = performance.now();
    const uploading = uploadBlob(grpcTransport("http://127.0.0.1:1"), {
      ...{ token, ...blobOf(randomBytes(10)) },
      stallMs: 60_000,
    });
    await expect(uploading).rejects.toMatchObject({ rawMessage: expect.stringContaining("ECONNREFUSED") });
    expect(performance.now() - begin).toBeLessThan(3_000);
  });
});

test("a file that changed since it was hashed is told, and never finished", async () => {
  const file = path.join(folder, "file");
  const bytes = randomBytes(3 * mebibyte);
  await writeFile(file, bytes);
  const { digest, sizeBytes } = blobOf(bytes);
  await writeFile(file, randomBytes(sizeBytes));
  const upload = () => uploadBlob(grpcTransport(proxy.url), { token, digest, sizeBytes, open: fileSource(file) });
  await expect(upload()).rejects.toMatchObject({ code: "SOURCE_CHANGED" });
  await writeFile(file, bytes.subarray(1));
  await expect(upload()).rejects.toMatchObject({ code: "SIZE_MISMATCH" });
  expect(store.blobs.size).toBe(0);
});

describe("a download", () => {
  test("that breaks off goes on at that byte", async () => {
    const blob = inStore(randomBytes(8 * mebibyte));
    proxy.rules.cutAfterReceived = [3 * mebibyte, 2 * mebibyte];
    expect((await downloadBlob(grpcTransport(proxy.url), { token, ...blob })).equals(blob.bytes)).toBe(true);
    expect(store.reads).toHaveLength(3);
    expect(store.reads[1]?.offset).toBeGreaterThan(2 * mebibyte);
    expect(proxy.received).toBeLessThan(9 * mebibyte);
  });

  test("gives ranges, also when it breaks off", async () => {
    const blob = inStore(randomBytes(4 * mebibyte));
    proxy.rules.cutAfterReceived = [1_500_000];
    const range = { offset: 1_000_000, limit: 2_000_000 };
    const got = await downloadBlob(grpcTransport(proxy.url), { token, ...blob, ...range });
    expect(got.equals(blob.bytes.subarray(1_000_000, 3_000_000))).toBe(true);
    expect(store.reads[0]).toEqual(range);
    expect(store.reads[1]).toMatchObject({ limit: 3_000_000 - (store.reads[1]?.offset ?? 0) });
    const none = { offset: 5, limit: 0 };
    expect(await downloadBlob(grpcTransport(proxy.url), { token, ...blob, ...none })).toHaveLength(0);
    const tail = await downloadBlob(grpcTransport(proxy.url), { token, ...blob, offset: blob.sizeBytes - 5 });
    expect(tail.equals(blob.bytes.subarray(-5))).toBe(true);
    await expect(
      downloadBlob(grpcTransport(proxy.url), { token, ...blob, offset: blob.sizeBytes + 1 }),
    ).rejects.toMatchObject({ code: Code.OutOfRange });
  });

  test("proves the whole over all of its parts", async () => {
    const blob = inStore(randomBytes(4 * mebibyte));
    proxy.rules.cutAfterReceived = [2 * mebibyte];
    store.before = () => {
      if (store.reads.length === 2) store.blobs.set(sha256(blob.bytes), randomBytes(blob.sizeBytes));
    };
    await expect(downloadBlob(grpcTransport(proxy.url), { token, ...blob })).rejects.toMatchObject({
      code: "BLOB_CORRUPT",
    });
  });

  test("that is left early ends its call", async () => {
    const blob = inStore(randomBytes(64 * mebibyte));
    for await (const _chunk of readBlob(grpcTransport(proxy.url), { token, ...blob })) break;
    const { received } = proxy;
    expect(received).toBeLessThan(blob.sizeBytes / 2);
  });
});

describe("a download to a file", () => {
  const target = () => path.join(folder, "out.bin");

  test("keeps what came, goes on there, and appears when it is proven", async () => {
    const blob = inStore(randomBytes(8 * mebibyte));
    proxy.rules.cutAfterReceived = [3 * mebibyte, 0, 0, 0];
    const to = { token, ...blob, path: target(), stallMs: 0 };
    await expect(downloadToFile(grpcTransport(proxy.url), to)).rejects.toBeInstanceOf(ConnectError);
    const partial = new RegExp(`^\\.out\\.bin\\.${blob.digest.slice(7, 19)}\\.[0-9a-f]{8}\\.part$`);
    expect(await readdir(folder)).toEqual([expect.stringMatching(partial)]);
    proxy.rules.cutAfterReceived = [];
    await downloadToFile(grpcTransport(proxy.url), to);
    expect((await readFile(target())).equals(blob.bytes)).toBe(true);
    expect(await readdir(folder)).toEqual(["out.bin"]);
    expect(store.reads.at(-1)?.offset).toBeGreaterThan(2 * mebibyte);
  });

  test("does not trust what is in the partial file", async () => {
    const blob = inStore(randomBytes(3 * mebibyte));
    await writeFile(path.join(folder, `.out.bin.${blob.digest.slice(7, 19)}.0a0a0a0a.part`), randomBytes(mebibyte));
    await downloadToFile(grpcTransport(proxy.url), { token, ...blob, path: target() });
    expect((await readFile(target())).equals(blob.bytes)).toBe(true);
    expect(store.reads.map(({ offset }) => offset)).toEqual([mebibyte, 0]);
  });

  test("leaves nothing of what is corrupt or not there, and works for no bytes at all", async () => {
    const blob = blobOf(randomBytes(mebibyte));
    const to = { token, ...blob, path: target() };
    await expect(downloadToFile(grpcTransport(proxy.url), to)).rejects.toMatchObject({ code: Code.NotFound });
    store.blobs.set(sha256(blob.bytes), randomBytes(mebibyte));
    await expect(downloadToFile(grpcTransport(proxy.url), to)).rejects.toMatchObject({ code: "BLOB_CORRUPT" });
    expect(await readdir(folder)).toEqual([]);
    const empty = inStore(Buffer.alloc(0));
    await downloadToFile(grpcTransport(proxy.url), { token, ...empty, path: target() });
    expect(await readFile(target())).toHaveLength(0);
  });

  test("twice at once is the same file", async () => {
    const blob = inStore(randomBytes(4 * mebibyte));
    const to = { token, ...blob, path: target() };
    await Promise.all([downloadToFile(grpcTransport(proxy.url), to), downloadToFile(grpcTransport(proxy.url), to)]);
    expect((await readFile(target())).equals(blob.bytes)).toBe(true);
    expect(await readdir(folder)).toEqual(["out.bin"]);
  });
});
