import { randomUUID } from "node:crypto";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import {
  ByteStream,
  ReadRequestSchema,
  ReadResponseSchema,
  WriteRequestSchema,
  WriteResponseSchema,
} from "@attestry/api/bytestream";
import { Capabilities, ContentAddressableStorage, DigestFunction_Value } from "@attestry/api/reapi";
import { describeWith } from "@attestry/dev-env";
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Gateway, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import { bucketStore, folderStore, type Store } from "./stores.ts";
import { visible } from "./writing.ts";

const mebibyte = 1024 * 1024;

const pathOf = (method: DescMethod) => `/${method.parent.typeName}/${method.name}`;
const writer =
  <D extends DescMessage>(schema: D) =>
  (message: MessageShape<D>) =>
    Buffer.from(toBinary(schema, message));
const reader =
  <D extends DescMessage>(schema: D) =>
  (bytes: Buffer) =>
    fromBinary(schema, bytes);

describe("a plain gRPC client of a folder", () => plainClientSuite(folderStore));
describeWith(["minio"], "a plain gRPC client of a bucket", () => plainClientSuite(bucketStore));

/** A client that knows the API's messages and one static header, and nothing else of this project. */
function plainClientSuite(startStore: () => Promise<Store>): void {
  let store: Store;
  let gateway: Gateway;
  let client: Client;
  let metadata: Metadata;
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret);
    client = new Client(`127.0.0.1:${gateway.port}`, credentials.createInsecure());
    metadata = new Metadata();
    metadata.set("authorization", `Bearer ${await gateway.apiToken("ci")}`);
  });
  afterAll(async () => {
    client.close();
    await gateway.close();
    await store.stop();
  });

  const nameOf = ({ hex, sizeBytes }: TestBlob) => `uploads/${randomUUID()}/blobs/${hex}/${sizeBytes}`;

  function write(messages: MessageInitShape<typeof WriteRequestSchema>[], { end = true } = {}): Promise<bigint> {
    return new Promise((resolve, reject) => {
      const call = client.makeClientStreamRequest(
        pathOf(ByteStream.method.write),
        writer(WriteRequestSchema),
        reader(WriteResponseSchema),
        metadata,
        (error: ServiceError | null, response) =>
          error === null && response !== undefined ? resolve(response.committedSize) : reject(error),
      );
      call.on("error", () => undefined);
      for (const message of messages) call.write(create(WriteRequestSchema, message));
      if (end) call.end();
    });
  }

  function ask<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      const message = create(method.input, request);
      const done = (error: ServiceError | null, response?: MessageShape<O>) =>
        error === null && response !== undefined ? resolve(response) : reject(error);
      client.makeUnaryRequest(pathOf(method), writer(method.input), reader(method.output), message, metadata, done);
    });
  }

  async function writeStatus(resourceName: string): Promise<{ committed: number; complete: boolean }> {
    const answer = await ask(ByteStream.method.queryWriteStatus, { resourceName });
    return { committed: Number(answer.committedSize), complete: answer.complete };
  }

  function read(resourceName: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const chunks: Uint8Array[] = [];
      const request = create(ReadRequestSchema, { resourceName });
      const call = client.makeServerStreamRequest(
        pathOf(ByteStream.method.read),
        writer(ReadRequestSchema),
        reader(ReadResponseSchema),
        request,
        metadata,
      );
      call.on("data", ({ data }: { data: Uint8Array }) => chunks.push(data));
      call.on("error", reject);
      call.on("end", () => resolve(Buffer.concat(chunks)));
    });
  }

  function messagesOf(blob: TestBlob, resourceName = nameOf(blob)): MessageInitShape<typeof WriteRequestSchema>[] {
    const count = Math.max(1, Math.ceil(blob.sizeBytes / mebibyte));
    return Array.from({ length: count }, (_, i) => ({
      resourceName,
      writeOffset: BigInt(i * mebibyte),
      data: blob.bytes.subarray(i * mebibyte, (i + 1) * mebibyte),
      finishWrite: i === count - 1,
    }));
  }

  test.each([0, 1, 100_000, 5 * mebibyte + 1, 64 * mebibyte])("writes and reads %d bytes", async (size) => {
    const blob = randomBlob(size);
    expect(await write(messagesOf(blob))).toBe(BigInt(size));
    expect((await read(`blobs/${blob.hex}/${size}`)).equals(blob.bytes)).toBe(true);
  });

  test("is answered at once when the blob is there, though it says no more", async () => {
    const blob = randomBlob(5 * mebibyte);
    await write(messagesOf(blob));
    expect(await write(messagesOf(blob).slice(0, 1), { end: false })).toBe(BigInt(blob.sizeBytes));
  });

  test("gets refusals in the middle of a stream, twenty times on one connection", async () => {
    const blob = randomBlob(5 * mebibyte);
    for (let i = 0; i < 20; i++) {
      const [first, ...rest] = messagesOf(blob);
      const messages = first === undefined ? [] : [{ ...first, finishWrite: true }, ...rest];
      await expect(write(messages)).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    }
    expect(await write(messagesOf(blob))).toBe(BigInt(blob.sizeBytes));
  });

  test("that stops without finish_write commits nothing", async () => {
    const blob = randomBlob(2 * mebibyte);
    const messages = messagesOf(blob).map((message) => ({ ...message, finishWrite: false }));
    await expect(write(messages)).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining("without finish_write"),
    });
    expect((await visible(store)).filter((name) => name.includes(blob.hex))).toEqual([]);
    await expect(read(`blobs/${blob.hex}/${blob.sizeBytes}`)).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  test("that stops goes on where it was", async () => {
    const blob = randomBlob(20 * mebibyte);
    const name = nameOf(blob);
    const messages = messagesOf(blob, name);
    await expect(write(messages.slice(0, 19))).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    const { committed, complete } = await writeStatus(name);
    // A bucket keeps whole parts of 8 MiB.
    expect([16 * mebibyte, 19 * mebibyte]).toContain(committed);
    expect(complete).toBe(false);
    expect(await write(messages.slice(committed / mebibyte))).toBe(BigInt(blob.sizeBytes));
    expect(await writeStatus(name)).toEqual({ committed: blob.sizeBytes, complete: true });
    expect((await read(`blobs/${blob.hex}/${blob.sizeBytes}`)).equals(blob.bytes)).toBe(true);
  });

  test("sends and gets blobs compressed", async () => {
    const blob = randomBlob(3 * mebibyte);
    const data = zstdCompressSync(blob.bytes);
    const name = `compressed-blobs/zstd/${blob.hex}/${blob.sizeBytes}`;
    const packed = { ...blob, bytes: data, sizeBytes: data.byteLength };
    expect(await write(messagesOf(packed, `uploads/${randomUUID()}/${name}`))).toBe(BigInt(data.byteLength));
    expect(zstdDecompressSync(await read(name)).equals(blob.bytes)).toBe(true);
  });

  test("is told what there is, what is missing, and sends and gets small blobs at once", async () => {
    const { cacheCapabilities } = await ask(Capabilities.method.getCapabilities, {});
    expect(cacheCapabilities?.digestFunctions).toEqual([DigestFunction_Value.SHA256]);
    const blobs = [randomBlob(1), randomBlob(1_000), randomBlob(100_000)];
    const blobDigests = blobs.map(({ hex, sizeBytes }) => ({ hash: hex, sizeBytes: BigInt(sizeBytes) }));
    const missing = async () =>
      (await ask(ContentAddressableStorage.method.findMissingBlobs, { blobDigests })).missingBlobDigests.length;
    expect(await missing()).toBe(blobs.length);
    const requests = blobs.map(({ bytes }, i) => ({ digest: blobDigests[i], data: bytes }));
    const stored = await ask(ContentAddressableStorage.method.batchUpdateBlobs, { requests });
    expect(stored.responses.map((response) => response.status?.code)).toEqual([0, 0, 0]);
    expect(await missing()).toBe(0);
    const got = await ask(ContentAddressableStorage.method.batchReadBlobs, { digests: blobDigests });
    expect(got.responses.map(({ data }, i) => blobs[i]?.bytes.equals(data))).toEqual([true, true, true]);
  });
}
