import { setTimeout as sleep } from "node:timers/promises";
import { describeBlob, downloadBlob, readBlob, uploadBlob } from "@attestry/cas-client";
import { reasonOf } from "@attestry/service-kit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { chunksOf, type Gateway, randomBlob, startGateway } from "./harness.ts";
import { folderStore, type Store } from "./stores.ts";
import { ClientUpload, visible } from "./writing.ts";

const mebibyte = 1024 * 1024;

describe("the gateway in the caller's process", () => {
  let store: Store;
  let gateway: Gateway;
  let token: string;
  let reader: string;
  beforeAll(async () => {
    store = await folderStore();
    gateway = await startGateway(store.secret);
    token = await gateway.casToken();
    reader = await gateway.casToken({ role: "downloader" });
  });
  afterAll(async () => {
    await gateway.close();
    await store.stop();
  });

  test.each([0, 1, 63_552, 12 * mebibyte])("%d bytes go in and come back", async (size) => {
    const blob = randomBlob(size);
    for (let i = 0; i < 2; i++)
      expect(await uploadBlob(gateway.inProcess, { token, ...blob, timeoutMs: 5_000 })).toEqual({
        committedSize: size,
      });
    expect(
      (await downloadBlob(gateway.inProcess, { token: reader, ...blob, timeoutMs: 5_000 })).equals(blob.bytes),
    ).toBe(true);
    expect(await describeBlob(gateway.inProcess, { token: reader, digest: blob.digest })).toMatchObject({
      sizeBytes: size,
    });
  });

  test("refusals have their reasons, and leave nothing", async () => {
    const blob = randomBlob(3 * mebibyte);
    const wrong = Buffer.alloc(blob.sizeBytes);
    const before = await visible(store);
    const upload = (bytes: AsyncIterable<Uint8Array> | Buffer, options = {}) =>
      uploadBlob(gateway.inProcess, { token, ...blob, bytes, ...options });
    const reason = async (promise: Promise<unknown>) => reasonOf(await promise.catch((error: unknown) => error));
    const other = new ClientUpload(blob, token);
    expect(await reason(other.write(gateway.inProcess, other.messages(0, blob.sizeBytes, wrong)))).toBe(
      "DIGEST_MISMATCH",
    );
    expect(await reason(upload(blob.bytes, { token: await gateway.casToken({ maxBytes: 10 }) }))).toBe(
      "BLOB_TOO_LARGE",
    );
    await expect(upload(chunksOf(blob.bytes.subarray(1), 1_000))).rejects.toMatchObject({ code: "SIZE_MISMATCH" });
    await expect(upload(blob.bytes, { signal: AbortSignal.abort() })).rejects.toThrow();
    expect(await reason(downloadBlob(gateway.inProcess, { token: reader, ...blob }))).toBe("BLOB_NOT_FOUND");
    expect(await visible(store)).toEqual(before);
  });

  test("a source that says nothing is given up by the caller's deadline", async () => {
    const blob = randomBlob(3 * mebibyte);
    async function* silent() {
      yield blob.bytes.subarray(0, mebibyte);
      // It goes on after the test, and is not to keep the process.
      await sleep(1_000, undefined, { ref: false });
    }
    const before = await visible(store);
    const uploading = uploadBlob(gateway.inProcess, { token, ...blob, bytes: silent(), timeoutMs: 200 });
    await expect(uploading).rejects.toMatchObject({ code: "PEER_UNAVAILABLE" });
    await sleep(100);
    expect(await visible(store)).toEqual(before);
  });

  test("a reader that stops", async () => {
    const blob = randomBlob(5 * mebibyte);
    await uploadBlob(gateway.inProcess, { token, ...blob });
    for await (const _chunk of readBlob(gateway.inProcess, { token: reader, ...blob, timeoutMs: 300 })) break;
    expect((await downloadBlob(gateway.inProcess, { token: reader, ...blob })).equals(blob.bytes)).toBe(true);
  });
});
