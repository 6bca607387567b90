import { BlobService } from "@attestry/api/cas";
import { ContentAddressableStorage } from "@attestry/api/reapi";
import { describeWith, minioClient, testMinio } from "@attestry/dev-env";
import type { CasPrincipal, RetentionBounds } from "@attestry/service-kit";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Gateway, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import { type Bucket, type BucketKind, startBucket } from "./s3-bucket.ts";
import { ClientUpload } from "./writing.ts";

const daySeconds = 86_400;
const week: RetentionBounds = { atLeastSeconds: 7 * daySeconds, atMostSeconds: 0 };

describeWith(["minio"], "a gateway for an organization that wants its blobs kept", () => {
  const client = minioClient(testMinio());
  let bucket: Bucket;
  let gateway: Gateway;
  beforeAll(async () => {
    bucket = await startBucket("locked");
    gateway = await startGateway(secretOf(bucket));
  });
  afterAll(async () => {
    await gateway.close();
    await bucket.stop();
  });

  const token = (retention?: RetentionBounds, claims: Partial<CasPrincipal> = {}) =>
    gateway.casToken({ ...claims, ...(retention && { retention }) });
  async function heldForMs({ hex }: TestBlob): Promise<number[]> {
    const found: number[] = [];
    for await (const { name } of client.listObjectsV2(bucket.options.bucket, "acme/", true)) {
      if (name === undefined || !name.includes(hex) || name.includes("/uploads/")) continue;
      const held = await client.getObjectRetention(bucket.options.bucket, name).catch(() => undefined);
      found.push(held ? Date.parse(held.retainUntilDate) - Date.now() : 0);
    }
    return found;
  }
  async function isMissing({ hex, sizeBytes }: TestBlob): Promise<boolean> {
    const headers = { authorization: `Bearer ${await token(week)}` };
    const blobDigests = [{ hash: hex, sizeBytes: BigInt(sizeBytes) }];
    const cas = createClient(ContentAddressableStorage, gateway.transport);
    return (await cas.findMissingBlobs({ blobDigests }, { headers })).missingBlobDigests.length > 0;
  }
  async function isHttpThere({ digest }: TestBlob, bytes: Buffer): Promise<boolean> {
    const headers = { authorization: `Bearer ${await token(week)}` };
    const answer = await fetch(`${gateway.url}/v1/blobs/${digest}`, {
      method: "PUT",
      headers,
      body: new Uint8Array(bytes),
    });
    return answer.status === 200;
  }

  const ways: [string, (blob: TestBlob) => Promise<unknown>][] = [
    ["FindMissingBlobs", async (blob) => expect(await isMissing(blob)).toBe(false)],
    ["Write", async (blob) => new ClientUpload(blob, await token(week)).write(gateway.transport)],
    ["QueryWriteStatus", async (blob) => new ClientUpload(blob, await token(week)).status(gateway.transport)],
    ["PUT", async (blob) => expect(await isHttpThere(blob, blob.bytes)).toBe(true)],
  ];
  test.each(ways.flatMap(([name, ask]) => [1_000, 9_000_000].map((size) => [name, size, ask] as const)))(
    "%s of %d bytes that are there says so once they are held",
    async (_name, size, ask) => {
      const blob = randomBlob(size);
      await new ClientUpload(blob, await token()).write(gateway.transport);
      const objects = size > 8_388_608 ? 2 : 1;
      expect(await heldForMs(blob)).toEqual(Array(objects).fill(0));
      await ask(blob);
      const held = await heldForMs(blob);
      expect(held).toHaveLength(objects);
      for (const ms of held) expect(ms).toBeGreaterThan(week.atLeastSeconds * 1_000 - 60_000);
    },
  );

  async function notesOf(kind: BucketKind, retention: RetentionBounds | undefined, days?: number): Promise<string[]> {
    const other = await startBucket(kind);
    if (days !== undefined) {
      const settings = { mode: "GOVERNANCE", unit: "Days", validity: days } as const;
      // Its type says that there is nothing to wait for.
      const setting: unknown = client.setObjectLockConfig(other.options.bucket, settings);
      await setting;
    }
    const there = await startGateway(secretOf(other));
    const headers = {
      authorization: `Bearer ${await there.casToken({ role: "manager", ...(retention && { retention }) })}`,
    };
    const validated = await createClient(BlobService, there.transport).validateBackend({}, { headers });
    await there.close();
    expect(validated).toMatchObject({ valid: true, error: "" });
    return validated.notes;
  }

  test("validation tells of what keeps the organization's bounds from being held", async () => {
    const both = { atLeastSeconds: daySeconds, atMostSeconds: 30 * daySeconds };
    expect(await notesOf("plain", undefined)).toEqual([]);
    expect(await notesOf("plain", week)).toEqual([]);
    expect(await notesOf("plain", both)).toEqual([expect.stringContaining("the bucket has no versioning")]);
    expect(await notesOf("versioned", both)).toEqual([]);
    expect(await notesOf("locked", both)).toEqual([]);
    expect(await notesOf("locked", both, 3)).toEqual([expect.stringContaining("for 3 days by its own default")]);
  });
});

function secretOf({ options: { endpoint, region, bucket, accessKey, secretKey } }: Bucket): object {
  return { provider: "s3", endpoint: endpoint.origin, region, bucket, accessKey, secretKey };
}
