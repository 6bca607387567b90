import { ByteStream } from "@attestry/api/bytestream";
import { findMissing } from "@attestry/cas-client";
import { createTestBucket, describeWith, minioClient, testMinio } from "@attestry/dev-env";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Gateway, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import { ClientUpload, mebibyte, readAll, refusal } from "./writing.ts";

describeWith(["minio"], "large blobs of a bucket whose data is lost, with only their references left", () => {
  let secret: Awaited<ReturnType<typeof createTestBucket>>;
  let gateway: Gateway;
  /** Another replica, which knows of no upload. */
  let other: Gateway;
  beforeAll(async () => {
    secret = await createTestBucket();
    gateway = await startGateway(secret);
    other = await startGateway(secret);
  });
  afterAll(async () => {
    await gateway.close();
    await other.close();
  });

  const corrupt = { code: Code.DataLoss, reason: "BLOB_CORRUPT" };

  async function lost(): Promise<TestBlob> {
    const blob = randomBlob(9 * mebibyte);
    await new ClientUpload(blob, await gateway.casToken()).write(gateway.transport);
    const client = minioClient(testMinio());
    for await (const { name } of client.listObjectsV2(secret.bucket, "", true))
      if (name.includes("/data/") && name.includes(blob.hex)) await client.removeObject(secret.bucket, name);
    return blob;
  }
  async function read(asked: Gateway, { hex, sizeBytes }: TestBlob): Promise<Buffer> {
    return readAll(asked.transport, `blobs/${hex}/${sizeBytes}`, await asked.casToken({ role: "downloader" }));
  }
  async function readPart(asked: Gateway, { hex, sizeBytes }: TestBlob): Promise<void> {
    const part = { resourceName: `blobs/${hex}/${sizeBytes}`, readOffset: 5_000_000n, readLimit: 10n };
    const headers = { authorization: `Bearer ${await asked.casToken({ role: "downloader" })}` };
    for await (const _ of createClient(ByteStream, asked.transport).read(part, { headers }));
  }
  async function ask(asked: Gateway, blob: TestBlob) {
    return new ClientUpload(blob, await asked.casToken()).status(asked.transport);
  }

  test.each<[string, "gateway" | "other", (asked: Gateway, blob: TestBlob) => Promise<unknown>, object]>([
    ["read whole where it was written", "gateway", (asked, blob) => refusal(read(asked, blob)), corrupt],
    ["read whole elsewhere", "other", (asked, blob) => refusal(read(asked, blob)), corrupt],
    ["read in part where it was written", "gateway", (asked, blob) => refusal(readPart(asked, blob)), corrupt],
    ["asked for elsewhere", "other", ask, { committed: 0, complete: false }],
  ])(
    "one that is %s is counted, missing from then on, and repaired by the next write",
    async (_how, which, meet, met) => {
      const blob = await lost();
      const asked = which === "gateway" ? gateway : other;
      const token = await asked.casToken();
      const before = await asked.metric("cas_gateway_blobs_corrupt_total");
      expect(await meet(asked, blob)).toEqual(met);
      expect(await asked.metric("cas_gateway_blobs_corrupt_total")).toBe(before + 1);
      expect(await findMissing(asked.transport, { token, blobs: [blob] })).toHaveLength(1);
      expect(await refusal(read(asked, blob))).toEqual({ code: Code.NotFound, reason: "BLOB_NOT_FOUND" });
      expect(await new ClientUpload(blob, token).write(asked.transport)).toBe(blob.sizeBytes);
      expect(await findMissing(asked.transport, { token, blobs: [blob] })).toHaveLength(0);
      expect((await read(asked, blob)).equals(blob.bytes)).toBe(true);
    },
  );
});
