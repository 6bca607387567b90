import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { ByteStream } from "@attestry/api/bytestream";
import { Capabilities, Compressor_Value, ContentAddressableStorage } from "@attestry/api/reapi";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { blobOf, chunksOf, type Gateway, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import type { Store } from "./stores.ts";
import { ClientUpload, invalid, keyOf, type Message, mebibyte, readAll, refusal } from "./writing.ts";

/** Blobs that come and go compressed, whatever the store behind the gateway. */
export function zstdSuite(startStore: () => Promise<Store>): void {
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

  const bearer = (of: string) => ({ headers: { authorization: `Bearer ${of}` } });
  const nameOf = ({ hex, sizeBytes }: TestBlob) => `compressed-blobs/zstd/${hex}/${sizeBytes}`;
  const cas = () => createClient(ContentAddressableStorage, gateway.transport);
  const digestOf = ({ hex, sizeBytes }: TestBlob) => ({ hash: hex, sizeBytes: BigInt(sizeBytes) });
  /** What is written compressed; the offsets count compressed bytes. */
  async function* messages(data: Buffer, name: string, chunk = mebibyte): AsyncGenerator<Message> {
    let offset = 0;
    do {
      const end = Math.min(offset + chunk, data.byteLength);
      const finishWrite = end === data.byteLength;
      yield { resourceName: name, writeOffset: BigInt(offset), data: data.subarray(offset, end), finishWrite };
      offset = end;
    } while (offset < data.byteLength);
  }
  function write(blob: TestBlob, data: Buffer, chunk?: number): Promise<number> {
    const upload = new ClientUpload(blob, token, `uploads/${randomUUID()}/${nameOf(blob)}`);
    return upload.write(gateway.transport, messages(data, upload.name, chunk));
  }
  function textBlob(bytes: number): TestBlob {
    const line = `line ${randomUUID()}\n`;
    return blobOf(Buffer.from(line.repeat(Math.ceil(bytes / line.length)).slice(0, bytes)));
  }

  test.each([0, 1, 50_000, mebibyte, 12 * mebibyte, 20_000_001])("%d bytes go in and come back", async (size) => {
    const text = textBlob(size);
    for (const blob of [text, randomBlob(size)]) {
      const data = zstdCompressSync(blob.bytes);
      // There is but one blob of no bytes.
      const isThere = size === 0 && blob !== text;
      expect(await write(blob, data, 700_000)).toBe(isThere ? -1 : data.byteLength);
      expect(await store.content()).toContain(keyOf(blob));
      const plain = await readAll(gateway.transport, `blobs/${blob.hex}/${size}`, reader);
      expect(plain.equals(blob.bytes)).toBe(true);
      const came = await readAll(gateway.transport, `store/${nameOf(blob)}`, reader);
      expect(zstdDecompressSync(came).equals(blob.bytes)).toBe(true);
      if (size > 1_000 && blob === text) expect(came.byteLength).toBeLessThan(size / 2);
    }
  });

  test("a blob that is there is answered with -1 while its bytes are still on their way", async () => {
    const blob = randomBlob(20 * mebibyte);
    const data = zstdCompressSync(blob.bytes);
    await write(blob, data);
    const upload = new ClientUpload(blob, token, `uploads/${randomUUID()}/${nameOf(blob)}`);
    async function* slow(): AsyncGenerator<Message> {
      yield { resourceName: upload.name, data: data.subarray(0, mebibyte) };
      await sleep(20_000, undefined, { ref: false });
    }
    expect(await upload.write(gateway.transport, slow())).toBe(-1);
    expect(await upload.status(gateway.transport)).toEqual({ committed: blob.sizeBytes, complete: true });
  });

  test("an upload that breaks off begins again at 0", async () => {
    const blob = randomBlob(12 * mebibyte);
    const data = zstdCompressSync(blob.bytes);
    const upload = new ClientUpload(blob, token, `uploads/${randomUUID()}/${nameOf(blob)}`);
    const begun = messages(data, upload.name);
    async function* unfinished(): AsyncGenerator<Message> {
      for (let i = 0; i < 10; i++) yield (await begun.next()).value as Message;
    }
    expect(await refusal(upload.write(gateway.transport, unfinished()))).toEqual(invalid("WRITE_UNFINISHED"));
    expect(await upload.status(gateway.transport)).toEqual({ committed: 0, complete: false });
    expect(await upload.leftovers(store)).toEqual([]);
    async function* later(): AsyncGenerator<Message> {
      yield { resourceName: upload.name, writeOffset: BigInt(mebibyte), data: data.subarray(mebibyte) };
    }
    expect(await refusal(upload.write(gateway.transport, later()))).toMatchObject({ code: Code.InvalidArgument });
    expect(await upload.write(gateway.transport, messages(data, upload.name))).toBe(data.byteLength);
  });

  const blob = randomBlob(3 * mebibyte);
  const good = zstdCompressSync(blob.bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  const flipped = Buffer.from(good);
  flipped.writeUInt8(flipped.readUInt8(mebibyte) ^ 1, mebibyte);
  const wrong: [string, Buffer, string][] = [
    ["junk", Buffer.from("this is not compressed"), "COMPRESSED_INVALID"],
    ["the plain bytes", blob.bytes, "COMPRESSED_INVALID"],
    ["a frame without its end", good.subarray(0, -1), "COMPRESSED_INVALID"],
    ["garbage after the frame", Buffer.concat([good, Buffer.from("garbage")]), "COMPRESSED_INVALID"],
    ["a flipped bit", flipped, "COMPRESSED_INVALID"],
    ["other bytes", zstdCompressSync(Buffer.alloc(3 * mebibyte)), "DIGEST_MISMATCH"],
    ["fewer bytes", zstdCompressSync(blob.bytes.subarray(1)), "SIZE_MISMATCH"],
    ["no bytes", Buffer.alloc(0), "SIZE_MISMATCH"],
    ["more bytes", zstdCompressSync(Buffer.concat([blob.bytes, Buffer.alloc(1)])), "SIZE_MISMATCH"],
    ["the blob twice", Buffer.concat([good, good]), "SIZE_MISMATCH"],
    ["a bomb", zstdCompressSync(Buffer.alloc(256 * mebibyte)), "SIZE_MISMATCH"],
  ];
  test.each(wrong)("%s is refused and leaves nothing", async (_what, data, reason) => {
    const before = await store.content();
    for (const chunk of [mebibyte, 5_000]) {
      if (data.byteLength / chunk > 1_000) continue;
      expect(await refusal(write(blob, data, chunk))).toEqual(invalid(reason));
    }
    expect(await store.content()).toEqual(before);
    // One message cannot hold more.
    if (data.byteLength > 3.5 * mebibyte) return;
    const requests = [{ digest: digestOf(blob), data, compressor: Compressor_Value.ZSTD }];
    const { responses } = await cas().batchUpdateBlobs({ requests }, bearer(token));
    expect(responses[0]?.status?.code).toBe(Code.InvalidArgument);
    expect(await store.content()).toEqual(before);
  });

  test("the right one in several frames is accepted", async () => {
    const data = Buffer.concat([
      zstdCompressSync(blob.bytes.subarray(0, mebibyte)),
      zstdCompressSync(blob.bytes.subarray(mebibyte)),
    ]);
    expect(await write(blob, data)).toBe(data.byteLength);
    expect((await readAll(gateway.transport, `blobs/${blob.hex}/${blob.sizeBytes}`, reader)).equals(blob.bytes)).toBe(
      true,
    );
  });

  test("a read from an offset counts bytes of the blob, and has no limit", async () => {
    const stored = randomBlob(2 * mebibyte + 17);
    await write(stored, zstdCompressSync(stored.bytes));
    const read = async (readOffset: bigint, readLimit = 0n) => {
      const chunks: Uint8Array[] = [];
      const request = { resourceName: nameOf(stored), readOffset, readLimit };
      for await (const { data } of createClient(ByteStream, gateway.transport).read(request, bearer(reader)))
        chunks.push(data);
      return zstdDecompressSync(Buffer.concat(chunks));
    };
    for (const offset of [0, 1, mebibyte, stored.sizeBytes - 1, stored.sizeBytes])
      expect((await read(BigInt(offset))).equals(stored.bytes.subarray(offset))).toBe(true);
    expect(await refusal(read(0n, 1n))).toEqual(invalid("REQUEST_INVALID"));
    expect(await refusal(read(BigInt(stored.sizeBytes + 1)))).toEqual({
      code: Code.OutOfRange,
      reason: "READ_OFFSET_OUT_OF_RANGE",
    });
  });

  test.each([100, 5 * mebibyte])("a corrupt object of %d bytes is DATA_LOSS before the frame ends", async (size) => {
    const right = randomBlob(size);
    await store.put(keyOf(right), Buffer.alloc(size));
    expect(await refusal(readAll(gateway.transport, nameOf(right), reader))).toEqual({
      code: Code.DataLoss,
      reason: "BLOB_CORRUPT",
    });
  });

  test("what is absent is NOT_FOUND, and another compressor is none", async () => {
    const absent = randomBlob(9);
    expect(await refusal(readAll(gateway.transport, nameOf(absent), reader))).toMatchObject({ code: Code.NotFound });
    for (const compressor of ["deflate", "brotli", "identity", "ZSTD", "x"]) {
      const name = `compressed-blobs/${compressor}/${absent.hex}/9`;
      expect(await refusal(readAll(gateway.transport, name, reader))).toEqual(invalid("RESOURCE_NAME_INVALID"));
      const upload = new ClientUpload(absent, token, `uploads/${randomUUID()}/${name}`);
      expect(await refusal(upload.write(gateway.transport))).toEqual(invalid("RESOURCE_NAME_INVALID"));
      await expect(readAll(gateway.transport, name, reader)).rejects.toThrow(JSON.stringify(compressor));
    }
  });

  test("batches", async () => {
    const blobs = [textBlob(100_000), randomBlob(1_000), textBlob(5), blobOf(Buffer.alloc(0))];
    const compressor = Compressor_Value.ZSTD;
    const requests = blobs.map((one) => ({ digest: digestOf(one), data: zstdCompressSync(one.bytes), compressor }));
    const other = { ...digestOf(randomBlob(3)) };
    const unknown = { digest: other, data: Buffer.from("abc"), compressor: Compressor_Value.BROTLI };
    const stored = await cas().batchUpdateBlobs({ requests: [...requests, unknown] }, bearer(token));
    expect(stored.responses.map(({ status }) => status?.code ?? 0)).toEqual([0, 0, 0, 0, Code.InvalidArgument]);

    const digests = blobs.map(digestOf);
    const plain = await cas().batchReadBlobs({ digests }, bearer(reader));
    expect(plain.responses.map((one) => one.compressor)).toEqual([0, 0, 0, 0]);
    const acceptableCompressors = [Compressor_Value.ZSTD, Compressor_Value.DEFLATE];
    const read = await cas().batchReadBlobs({ digests, acceptableCompressors }, bearer(reader));
    expect(read.responses.map((one) => one.compressor)).toEqual([compressor, 0, 0, 0]);
    for (const [i, one] of blobs.entries()) {
      const { data = Buffer.alloc(0), compressor: by } = read.responses[i] ?? {};
      expect((by === compressor ? zstdDecompressSync(data) : Buffer.from(data)).equals(one.bytes)).toBe(true);
    }
  });

  test("a batch of bombs counts with the sizes that it tells", async () => {
    const huge = textBlob(5 * mebibyte);
    const requests = [
      { digest: digestOf(huge), data: zstdCompressSync(huge.bytes), compressor: Compressor_Value.ZSTD },
    ];
    expect(await refusal(cas().batchUpdateBlobs({ requests }, bearer(token)))).toEqual(invalid("REQUEST_INVALID"));
  });

  test("the capabilities tell of it", async () => {
    const { cacheCapabilities } = await createClient(Capabilities, gateway.transport).getCapabilities(
      {},
      bearer(reader),
    );
    expect(cacheCapabilities).toMatchObject({
      supportedCompressors: [Compressor_Value.ZSTD],
      supportedBatchUpdateCompressors: [Compressor_Value.ZSTD],
    });
  });

  test("many at once, of which some are never finished", async () => {
    const before = process.memoryUsage().rss;
    const blobs = Array.from({ length: 60 }, () => randomBlob(mebibyte));
    const cancelling = new AbortController();
    async function* silent(one: TestBlob): AsyncGenerator<Message> {
      const name = `uploads/${randomUUID()}/${nameOf(one)}`;
      for await (const data of chunksOf(zstdCompressSync(one.bytes).subarray(0, 1_000), 1_000))
        yield { resourceName: name, data };
      await sleep(20_000, undefined, { ref: false });
    }
    const stuck = blobs.slice(0, 20).map((one) => {
      const upload = new ClientUpload(one, token);
      return refusal(upload.write(gateway.transport, silent(one), cancelling.signal));
    });
    await Promise.all(blobs.slice(20).map((one) => write(one, zstdCompressSync(one.bytes), 100_000)));
    const reads = blobs.slice(20).map((one) => readAll(gateway.transport, nameOf(one), reader));
    for (const [i, data] of (await Promise.all(reads)).entries())
      expect(zstdDecompressSync(data).equals(blobs[20 + i]?.bytes ?? Buffer.alloc(0))).toBe(true);
    cancelling.abort();
    await Promise.all(stuck);
    expect(process.memoryUsage().rss - before).toBeLessThan(600 * mebibyte);
  });
}
