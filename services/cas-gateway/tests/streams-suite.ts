import { setTimeout as sleep } from "node:timers/promises";
import { ByteStream } from "@attestry/api/bytestream";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Gateway, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import type { Store } from "./stores.ts";
import { ClientUpload, type Message, mebibyte, readAll, refusal } from "./writing.ts";

const idleTimeoutMs = 2_000;

/** Many streams at once, and clients that take their time, whatever the store behind the gateway. */
export function streamsSuite(startStore: () => Promise<Store>): void {
  let store: Store;
  let gateway: Gateway;
  let impatient: Gateway;
  let token: string;
  let reader: string;
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret, { idleTimeoutMs: 60_000 });
    impatient = await startGateway(store.secret, { idleTimeoutMs, leastBytesPerSecond: 2 });
    token = await gateway.casToken();
    reader = await gateway.casToken({ role: "downloader" });
  });
  afterAll(async () => {
    await gateway.close();
    await impatient.close();
    await store.stop();
  });

  const nameOf = ({ hex, sizeBytes }: TestBlob) => `blobs/${hex}/${sizeBytes}`;
  const read = (blob: TestBlob) => readAll(gateway.transport, nameOf(blob), reader);
  /** A client that has no limit of its own: Node's refuses streams beyond 10 MB of all its sends. */
  const client = ({ url } = gateway) => createGrpcTransport({ baseUrl: url, nodeOptions: { maxSessionMemory: 1_000 } });
  async function* saysNothing(): AsyncGenerator<Message> {
    await sleep(20_000, undefined, { ref: false });
    yield {};
  }

  test("200 writes, then 100 reads and 100 writes, beside 100 streams that say nothing", async () => {
    const before = process.memoryUsage().rss;
    const transport = client();
    const ending = new AbortController();
    const silent = Array.from({ length: 100 }, () => {
      const upload = new ClientUpload(randomBlob(1), token);
      return refusal(upload.write(transport, saysNothing(), ending.signal));
    });
    const blobs = Array.from({ length: 200 }, (_, i) => randomBlob(i % 20 === 0 ? 2 * mebibyte : 50_000));
    await Promise.all(blobs.map((blob) => new ClientUpload(blob, token).write(transport)));
    const came = blobs.slice(0, 100).map(async (blob) => {
      return (await readAll(transport, nameOf(blob), reader)).equals(blob.bytes);
    });
    const written = blobs.slice(100).map((blob) => new ClientUpload(blob, token).write(transport));
    expect(await Promise.all(came)).toEqual(new Array(100).fill(true));
    expect(await Promise.all(written)).toEqual(blobs.slice(100).map(({ sizeBytes }) => sizeBytes));
    ending.abort();
    await Promise.all(silent);
    expect(process.memoryUsage().rss - before).toBeLessThan(500 * mebibyte);
  }, 60_000);

  test("streams that say nothing are ended", async () => {
    const ofImpatient = await impatient.casToken();
    const transport = client(impatient);
    const silent = Array.from({ length: 100 }, () => {
      const upload = new ClientUpload(randomBlob(1), ofImpatient);
      return refusal(upload.write(transport, saysNothing()));
    });
    for (const refused of await Promise.all(silent))
      expect(refused).toEqual({ code: Code.DeadlineExceeded, reason: "DEADLINE_EXCEEDED" });
  });

  /** In ten pieces, which take twice the time of silence. */
  async function* slowly({ name, blob: { bytes } }: ClientUpload): AsyncGenerator<Message> {
    const size = bytes.length / 10;
    for (let i = 0; i < 10; i++) {
      const at = i * size;
      yield {
        ...{ resourceName: name, writeOffset: BigInt(at), data: bytes.subarray(at, at + size) },
        finishWrite: i === 9,
      };
      await sleep(idleTimeoutMs / 5);
    }
  }

  test.each([10, 10 * mebibyte])("a writer of %d bytes that is slow, but not silent", async (bytes) => {
    const upload = new ClientUpload(randomBlob(bytes), await impatient.casToken());
    expect(await upload.write(impatient.transport, slowly(upload))).toBe(bytes);
    expect((await read(upload.blob)).equals(upload.blob.bytes)).toBe(true);
  });

  test("a writer that drips is given up", async () => {
    const strict = await startGateway(store.secret, { idleTimeoutMs, leastBytesPerSecond: 20 });
    const upload = new ClientUpload(randomBlob(10), await strict.casToken());
    const began = performance.now();
    expect(await refusal(upload.write(strict.transport, slowly(upload)))).toEqual({
      code: Code.DeadlineExceeded,
      reason: "DEADLINE_EXCEEDED",
    });
    expect(performance.now() - began).toBeLessThan(1.8 * idleTimeoutMs);
    await strict.close();
  });

  test("readers that take little, or nothing any more", async () => {
    const blob = randomBlob(24 * mebibyte);
    await new ClientUpload(blob, token).write(gateway.transport);
    const bytes = createClient(ByteStream, client(impatient));
    const ofImpatient = await impatient.casToken({ role: "downloader" });
    const options = { headers: { authorization: `Bearer ${ofImpatient}` } };
    const readers = Array.from({ length: 30 }, () =>
      bytes.read({ resourceName: nameOf(blob) }, options)[Symbol.asyncIterator](),
    );
    const before = process.memoryUsage().rss;
    await Promise.all(readers.map((messages) => messages.next()));
    await sleep(500);
    // All of it for each would be 720 MiB.
    expect(process.memoryUsage().rss - before).toBeLessThan(360 * mebibyte);
    expect((await read(blob)).equals(blob.bytes)).toBe(true);
    await sleep(idleTimeoutMs + 500);
    async function takeTheRest(messages: AsyncIterator<unknown> | undefined): Promise<void> {
      while ((await messages?.next())?.done !== true);
    }
    expect(await refusal(takeTheRest(readers[0]))).toEqual({
      code: Code.DeadlineExceeded,
      reason: "DEADLINE_EXCEEDED",
    });
    await Promise.all(readers.slice(1).map((messages) => refusal(takeTheRest(messages))));
    expect((await read(blob)).equals(blob.bytes)).toBe(true);
  }, 60_000);

  test("a reader that is slow, but goes on", async () => {
    const blob = randomBlob(4 * mebibyte);
    await new ClientUpload(blob, token).write(gateway.transport);
    const bytes = createClient(ByteStream, client());
    const chunks: Uint8Array[] = [];
    const headers = { authorization: `Bearer ${reader}` };
    for await (const { data } of bytes.read({ resourceName: nameOf(blob) }, { headers })) {
      chunks.push(data);
      await sleep(50);
    }
    expect(Buffer.concat(chunks).equals(blob.bytes)).toBe(true);
  });
}
