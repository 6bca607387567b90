import { describeWith, minioClient, testMinio } from "@attestry/dev-env";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import type { S3Backend } from "../src/backends/s3.ts";
import { chunksOf, randomBlob, type TestBlob } from "./blobs.ts";
import { keyOf } from "./contract/subject.ts";
import { type FaultyStore, firstOf, startFaultyStore } from "./faulty-store.ts";
import { type Bucket, startBucket } from "./s3-bucket.ts";

const { signal } = new AbortController();
const [small, large] = [1_000, 9_000_000];
const copyError = '<?xml version="1.0"?>\n<Error><Code>InternalError</Code><Message>again</Message></Error>';

describeWith(["minio"], "blobs of the s3 backend that are damaged", () => {
  let bucket: Bucket;
  let faulty: FaultyStore;
  let backend: S3Backend;
  beforeAll(async () => {
    bucket = await startBucket();
    faulty = await startFaultyStore(bucket.options.endpoint.href, { credentials: bucket.options });
  });
  afterAll(async () => {
    await faulty.close();
    await bucket.stop();
  });
  beforeEach(() => {
    faulty.fate = () => "pass";
    faulty.seen = [];
    backend = bucket.backend({ endpoint: faulty.endpoint, prefix: "acme/", requestTimeoutMs: 2_000 });
  });

  const write = (blob: TestBlob) => backend.write(keyOf(blob), blob, chunksOf(blob.bytes, 1_000_000), { signal });
  const spoilt = async (blob: TestBlob) => bucket.spoil("acme/", keyOf(blob), Buffer.alloc(blob.sizeBytes));
  const sizes = (blob: TestBlob) => backend.sizes([{ key: keyOf(blob), sizeBytes: blob.sizeBytes }], signal);
  const aside = async (blob: TestBlob) =>
    (await bucket.leftovers("acme/corrupt/")).filter((name) => name.includes(blob.hex));
  async function read(blob: TestBlob, range = { offset: 0, length: undefined as number | undefined }) {
    const opened = await backend.read(keyOf(blob), range, signal);
    const chunks: Buffer[] = [];
    for await (const chunk of opened?.chunks ?? []) chunks.push(chunk);
    return opened && { sizeBytes: opened.sizeBytes, bytes: Buffer.concat(chunks) };
  }

  test("a reference whose data is gone is read as its blob without bytes, and can be set aside and repaired", async () => {
    const blob = randomBlob(large);
    await write(blob);
    const [data] = (await bucket.leftovers("acme/data/")).filter((name) => name.includes(blob.hex));
    await minioClient(testMinio()).removeObject(bucket.options.bucket, data ?? "");
    for (const range of [
      { offset: 0, length: undefined },
      { offset: 5_000_000, length: 10 },
    ])
      expect(await read(blob, range)).toEqual({ sizeBytes: large, bytes: Buffer.alloc(0) });
    expect(await backend.setAside(keyOf(blob), blob, signal)).toBe(true);
    expect(await backend.describe(keyOf(blob), signal)).toBeUndefined();
    expect(await sizes(blob)).toEqual(new Map());
    await write(blob);
    expect((await read(blob))?.bytes.equals(blob.bytes)).toBe(true);
  });

  test("a copy that answers 200 and then an error is made again", async () => {
    const blob = randomBlob(small);
    await spoilt(blob);
    faulty.fate = firstOf(1, /^PUT .*\/corrupt\//, { status: 200, body: copyError });
    expect(await backend.setAside(keyOf(blob), blob, signal)).toBe(true);
    expect(await aside(blob)).toHaveLength(1);
    expect(await sizes(blob)).toEqual(new Map());
  });

  test("where no copy can be made the corrupt blob stays", async () => {
    const blob = randomBlob(small);
    await spoilt(blob);
    faulty.fate = firstOf(Number.POSITIVE_INFINITY, /^PUT .*\/corrupt\//, { status: 200, body: copyError });
    await expect(backend.setAside(keyOf(blob), blob, signal)).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    expect((await read(blob))?.bytes.equals(Buffer.alloc(small))).toBe(true);
  });

  test("the answer to the replacement is lost: it was done all the same", async () => {
    const blob = randomBlob(small);
    await spoilt(blob);
    faulty.fate = firstOf(1, /^PUT .*\/blobs\//, "lose");
    expect(await backend.setAside(keyOf(blob), blob, signal)).toBe(true);
    expect(await aside(blob)).toHaveLength(1);
    expect(await backend.describe(keyOf(blob), signal)).toBeUndefined();
  });

  test("an object that was put in parts, whose tag is no MD5, is set aside", async () => {
    const blob = randomBlob(small);
    await putInParts(bucket.options.bucket, `acme/${keyOf(blob)}`, Buffer.alloc(small));
    expect(await backend.setAside(keyOf(blob), blob, signal)).toBe(true);
    expect(await aside(blob)).toHaveLength(1);
    expect(await sizes(blob)).toEqual(new Map());
  });
});

/** As other tools do. */
async function putInParts(bucket: string, name: string, bytes: Buffer): Promise<void> {
  const client = minioClient(testMinio());
  const uploadID = await client.initiateNewMultipartUpload(bucket, name, {});
  const part = { bucketName: bucket, objectName: name, uploadID, partNumber: 1, headers: {} };
  const { etag } = await client.uploadPart(part, bytes);
  await client.completeMultipartUpload(bucket, name, uploadID, [{ part: 1, etag }]);
}
