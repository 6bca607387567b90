import { setTimeout as sleep } from "node:timers/promises";
import { deleteBlob, findMissing } from "@attestry/cas-client";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Gateway, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import type { Store } from "./stores.ts";
import { ClientUpload, keyOf, type Message, mebibyte, readAll } from "./writing.ts";

/** What lies under a blob's key is never taken for the blob by its name or size. */
export function proofSuite(startStore: () => Promise<Store>): void {
  let store: Store;
  let gateway: Gateway;
  let token: string;
  let reader: string;
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret);
    token = await gateway.casToken();
    reader = await gateway.casToken({ role: "downloader" });
  });
  afterAll(async () => {
    await gateway.close();
    await store.stop();
  });

  const read = ({ hex, sizeBytes }: TestBlob) => readAll(gateway.transport, `blobs/${hex}/${sizeBytes}`, reader);
  function spoiled({ bytes }: TestBlob): Buffer {
    const wrong = Buffer.from(bytes);
    wrong.writeUInt8(wrong.readUInt8(bytes.byteLength - 1) ^ 1, bytes.byteLength - 1);
    return wrong;
  }
  async function* firstThenSilent(upload: ClientUpload): AsyncGenerator<Message> {
    yield* upload.messages(0, mebibyte);
    await sleep(20_000, undefined, { ref: false });
  }

  test.each([2 * mebibyte, 20 * mebibyte])("wrong bytes of the right size are replaced: %d bytes", async (size) => {
    const blob = randomBlob(size);
    await store.put(keyOf(blob), spoiled(blob));
    const upload = new ClientUpload(blob, token);
    expect(await upload.write(gateway.transport)).toBe(size);
    expect((await read(blob)).equals(blob.bytes)).toBe(true);
  });

  test("wrong bytes of the right size are not complete, and then missing", async () => {
    const blob = randomBlob(2 * mebibyte);
    await store.put(keyOf(blob), spoiled(blob));
    const before = await gateway.metric("cas_gateway_blobs_corrupt_total");
    const upload = new ClientUpload(blob, token);
    expect(await upload.status(gateway.transport)).toEqual({ committed: 0, complete: false });
    expect(await gateway.metric("cas_gateway_blobs_corrupt_total")).toBe(before + 1);
    expect(await findMissing(gateway.transport, { token, blobs: [blob] })).toHaveLength(1);
    expect(await upload.status(gateway.transport)).toEqual({ committed: 0, complete: false });
    expect(await upload.write(gateway.transport)).toBe(blob.sizeBytes);
    expect(await upload.status(gateway.transport)).toEqual({ committed: blob.sizeBytes, complete: true });
    expect(await findMissing(gateway.transport, { token, blobs: [blob] })).toHaveLength(0);
    expect((await read(blob)).equals(blob.bytes)).toBe(true);
  });

  test("the right bytes count, whoever put them there, once they were read", async () => {
    const blob = randomBlob(12 * mebibyte);
    await store.put(keyOf(blob), blob.bytes);
    const before = await gateway.metric("cas_gateway_blobs_existed_total");
    const upload = new ClientUpload(blob, token);
    expect(await upload.write(gateway.transport, firstThenSilent(upload))).toBe(blob.sizeBytes);
    expect(await gateway.metric("cas_gateway_blobs_existed_total")).toBe(before + 1);
    expect(await upload.leftovers(store)).toEqual([]);
  });

  test("what was proven and then replaced from behind is read again", async () => {
    const blob = randomBlob(3 * mebibyte);
    const upload = new ClientUpload(blob, token);
    await upload.write(gateway.transport);
    // Longer than the second that a store's clock may be coarse by.
    await sleep(1_100);
    await store.put(keyOf(blob), spoiled(blob));
    expect(await upload.status(gateway.transport)).toMatchObject({ complete: false });
    await new ClientUpload(blob, token).write(gateway.transport);
    expect((await read(blob)).equals(blob.bytes)).toBe(true);
  });

  test("what was proven and then deleted is not there", async () => {
    const blob = randomBlob(3 * mebibyte);
    const upload = new ClientUpload(blob, token);
    await upload.write(gateway.transport);
    const manager = await gateway.casToken({ role: "manager" });
    const { digest } = blob;
    await deleteBlob(gateway.transport, { token: manager, digest, notAfter: new Date(Date.now() + 5_000) });
    expect(await upload.status(gateway.transport)).toEqual({ committed: 0, complete: false });
    expect(await upload.write(gateway.transport)).toBe(blob.sizeBytes);
    expect((await read(blob)).equals(blob.bytes)).toBe(true);
  });

  test("many who ask at once", async () => {
    const right = randomBlob(12 * mebibyte);
    const wrong = randomBlob(12 * mebibyte);
    await store.put(keyOf(right), right.bytes);
    await store.put(keyOf(wrong), spoiled(wrong));
    const before = await gateway.metric("cas_gateway_blobs_corrupt_total");
    const asked = Array.from({ length: 20 }, async () => {
      const [ofRight, ofWrong] = [new ClientUpload(right, token), new ClientUpload(wrong, token)];
      expect(await ofRight.status(gateway.transport)).toMatchObject({ complete: true });
      expect(await ofWrong.status(gateway.transport)).toMatchObject({ complete: false });
    });
    await Promise.all(asked);
    expect(await gateway.metric("cas_gateway_blobs_corrupt_total")).toBe(before + 1);
    const writes = Array.from({ length: 5 }, () => new ClientUpload(wrong, token).write(gateway.transport));
    await Promise.all(writes);
    expect((await read(wrong)).equals(wrong.bytes)).toBe(true);
  });

  test("the empty blob is always there", async () => {
    const empty = randomBlob(0);
    const elsewhere = await startGateway(store.secret);
    const ofElsewhere = await elsewhere.casToken({ space: "bundles" });
    expect(await findMissing(elsewhere.transport, { token: ofElsewhere, blobs: [empty] })).toEqual([]);
    const name = `blobs/${empty.hex}/0`;
    const other = await elsewhere.casToken({ role: "downloader", organization: "nobody" });
    expect((await readAll(elsewhere.transport, name, other)).byteLength).toBe(0);
    await elsewhere.close();
  });
}
