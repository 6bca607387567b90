import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ByteStream } from "@attestry/api/bytestream";
import { downloadBlob, uploadBlob } from "@attestry/cas-client";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { acme, blobOf, chunksOf, type Gateway, globex, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import type { Store } from "./stores.ts";
import { keyOf, type Message, mebibyte, refusal } from "./writing.ts";

/** Writes through a gateway, whatever the store behind it; those that break the rules are in `wrongWriteSuite`. */
export function writeSuite(startStore: () => Promise<Store>): void {
  let store: Store;
  let gateway: Gateway;
  let impatient: Gateway;
  let token: string;
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret);
    impatient = await startGateway(store.secret, { idleTimeoutMs: 700 });
    token = await gateway.casToken();
  });
  afterAll(async () => {
    await gateway.close();
    await impatient.close();
    await store.stop();
  });

  const nameOf = ({ hex, sizeBytes }: TestBlob) => `uploads/${randomUUID()}/blobs/${hex}/${sizeBytes}`;
  const headers = (bearer = token) => ({ authorization: `Bearer ${bearer}` });
  const write = (messages: AsyncIterable<Message>, bearer = token, signal?: AbortSignal, { transport } = gateway) =>
    createClient(ByteStream, transport).write(messages, {
      headers: headers(bearer),
      ...(signal && { signal }),
    });

  test.each([0, 1, 50_000, mebibyte, 8 * mebibyte, 11 * mebibyte, 20_000_001])(
    "%d bytes go in and come back",
    async (size) => {
      const blob = randomBlob(size);
      const progress: number[] = [];
      const onProgress = (bytes: number) => progress.push(bytes);
      expect(await uploadBlob(gateway.transport, { token, ...blob, onProgress })).toEqual({ committedSize: size });
      expect(await store.content()).toContain(keyOf(blob));
      const reader = await gateway.casToken({ role: "downloader" });
      const came = await downloadBlob(gateway.transport, { token: reader, ...blob });
      expect(came.equals(blob.bytes)).toBe(true);
    },
  );

  test("a source of small and large chunks", async () => {
    const blob = randomBlob(5_000_000);
    const bytes = chunksOf(blob.bytes, 7_777);
    expect(await uploadBlob(gateway.transport, { token, ...blob, bytes })).toEqual({ committedSize: blob.sizeBytes });
    expect(await store.content()).toContain(keyOf(blob));
  });

  test("a blob that is there is answered while its bytes are still on their way", async () => {
    const blob = randomBlob(20 * mebibyte);
    await uploadBlob(gateway.transport, { token, ...blob });
    async function* slow(): AsyncGenerator<Message> {
      yield { resourceName: nameOf(blob), data: blob.bytes.subarray(0, mebibyte) };
      await sleep(500);
      throw new Error("was asked for more");
    }
    expect(await write(slow())).toMatchObject({ committedSize: BigInt(blob.sizeBytes) });
    expect(await gateway.metric("cas_gateway_blobs_existed_total")).toBeGreaterThan(0);
    expect(await uploadBlob(gateway.transport, { token, ...blob })).toEqual({ committedSize: blob.sizeBytes });
  });

  test("a client that says finish_write and does not end its side is answered", async () => {
    const blob = randomBlob(2 * mebibyte);
    async function* open(): AsyncGenerator<Message> {
      yield { resourceName: nameOf(blob), data: blob.bytes.subarray(0, mebibyte) };
      yield { writeOffset: BigInt(mebibyte), data: blob.bytes.subarray(mebibyte), finishWrite: true };
      await sleep(20_000, undefined, { ref: false });
    }
    expect(await write(open())).toMatchObject({ committedSize: BigInt(blob.sizeBytes) });
  });

  test("one that sends messages without bytes is as silent as one that sends none", async () => {
    const blob = randomBlob(2 * mebibyte);
    async function* empty(): AsyncGenerator<Message> {
      yield { resourceName: nameOf(blob), data: blob.bytes.subarray(0, mebibyte) };
      for (let i = 0; i < 100; i++) {
        await sleep(100);
        yield { writeOffset: BigInt(mebibyte) };
      }
    }
    const begunAt = Date.now();
    const writing = write(empty(), await impatient.casToken(), undefined, impatient);
    expect(await refusal(writing)).toEqual({ code: Code.DeadlineExceeded, reason: "DEADLINE_EXCEEDED" });
    expect(Date.now() - begunAt).toBeLessThan(5_000);
  });

  test("a small blob that is there counts as such, in one message or several", async () => {
    const blob = randomBlob(50_000);
    await uploadBlob(gateway.transport, { token, ...blob });
    const before = await gateway.metric("cas_gateway_blobs_existed_total");
    await uploadBlob(gateway.transport, { token, ...blob });
    async function* pieces(): AsyncGenerator<Message> {
      yield { resourceName: nameOf(blob), data: blob.bytes.subarray(0, 20_000) };
      yield { writeOffset: 20_000n, data: blob.bytes.subarray(20_000), finishWrite: true };
    }
    await write(pieces());
    expect(await gateway.metric("cas_gateway_blobs_existed_total")).toBe(before + 2);
  });

  test("an object of another size under its key does not count as the blob, and is replaced", async () => {
    const blob = randomBlob(3 * mebibyte);
    await store.put(keyOf(blob), Buffer.from("poison"));
    const reader = await gateway.casToken({ role: "downloader" });
    expect(await refusal(downloadBlob(gateway.transport, { token: reader, ...blob }))).toEqual({
      code: Code.DataLoss,
      reason: "BLOB_CORRUPT",
    });
    await uploadBlob(gateway.transport, { token, ...blob });
    expect((await downloadBlob(gateway.transport, { token: reader, ...blob })).equals(blob.bytes)).toBe(true);
  });

  test("the token bounds what may be written, where, and by whom", async () => {
    const blob = randomBlob(1_000);
    const upload = (bearer: string, wanted = blob) =>
      refusal(uploadBlob(gateway.transport, { token: bearer, ...wanted }));
    const before = await store.content();
    expect(await upload(await gateway.casToken({ maxBytes: 999 }))).toEqual({
      code: Code.InvalidArgument,
      reason: "BLOB_TOO_LARGE",
    });
    expect(await upload(await gateway.casToken({ digest: randomBlob(1).digest }))).toEqual({
      code: Code.PermissionDenied,
      reason: "DIGEST_NOT_ALLOWED",
    });
    for (const role of ["downloader", "manager"] as const) {
      expect(await upload(await gateway.casToken({ role }))).toEqual({
        code: Code.PermissionDenied,
        reason: "ROLE_INSUFFICIENT",
      });
    }
    expect(await upload(await gateway.apiToken("reader"))).toEqual({
      code: Code.PermissionDenied,
      reason: "ROLE_INSUFFICIENT",
    });
    expect(await upload("no.such.token")).toMatchObject({ code: Code.Unauthenticated });
    expect(await store.content()).toEqual(before);

    await uploadBlob(gateway.transport, {
      token: await gateway.casToken({ maxBytes: 1_000, digest: blob.digest, space: "bundles" }),
      ...blob,
    });
    expect(await store.content()).toContain(keyOf(blob, "acme", "bundles"));
    await uploadBlob(gateway.transport, { token: await gateway.apiToken("ci", globex), ...blob });
    expect(await store.content()).toContain(keyOf(blob, "globex"));
    expect(await store.content()).not.toContain(keyOf(blob, acme.name));
  });

  test("what the source throws reaches the caller, and a source of another size is told from the gateway's refusals", async () => {
    const blob = blobOf(Buffer.from("twelve bytes"));
    async function* failing() {
      yield Buffer.from("twelve");
      throw new RangeError("the disk is gone");
    }
    await expect(uploadBlob(gateway.transport, { token, ...blob, bytes: failing() })).rejects.toThrow(
      "the disk is gone",
    );
    await expect(uploadBlob(gateway.transport, { token, ...blob, bytes: Buffer.from("twelve") })).rejects.toMatchObject(
      { code: "SIZE_MISMATCH" },
    );
    await expect(
      uploadBlob(gateway.transport, { token, ...blob, bytes: Buffer.from("twelve bytes and more") }),
    ).rejects.toMatchObject({ code: "SIZE_MISMATCH" });
    expect(await store.content()).not.toContain(keyOf(blob));
  });
}
