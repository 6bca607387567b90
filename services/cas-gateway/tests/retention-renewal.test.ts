import { setTimeout as sleep } from "node:timers/promises";
import { BlobService } from "@attestry/api/cas";
import { ContentAddressableStorage } from "@attestry/api/reapi";
import { describeWith } from "@attestry/dev-env";
import type { CasPrincipal, RetentionBounds } from "@attestry/service-kit";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Gateway, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import { bucketStore, folderStore, type Store } from "./stores.ts";
import { ClientUpload, readAll } from "./writing.ts";

const hour = 3_600;
/** One that was stored more than a second ago would not stay for an hour. */
const short: RetentionBounds = { atLeastSeconds: hour, atMostSeconds: hour + 1 };
const long: RetentionBounds = { atLeastSeconds: hour, atMostSeconds: 3 * hour };

describe("materials near their end, in a folder", () => renewalSuite(folderStore));
describeWith(["minio"], "materials near their end, in a bucket", () => renewalSuite(bucketStore));

function renewalSuite(startStore: () => Promise<Store>): void {
  let store: Store;
  let gateway: Gateway;
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret);
  });
  afterAll(async () => {
    await gateway.close();
    await store.stop();
  });

  const token = (retention: RetentionBounds | undefined, claims: Partial<CasPrincipal> = {}) =>
    gateway.casToken({ ...claims, ...(retention && { retention }) });
  const headersOf = async (retention: RetentionBounds | undefined, claims?: Partial<CasPrincipal>) => ({
    headers: { authorization: `Bearer ${await token(retention, claims)}` },
  });
  async function write(blob: TestBlob, retention: RetentionBounds | undefined, claims?: Partial<CasPrincipal>) {
    const upload = new ClientUpload(blob, await token(retention, claims));
    const { complete } = await upload.status(gateway.transport);
    const before = await gateway.metric("cas_gateway_blobs_stored_total");
    expect(await upload.write(gateway.transport)).toBe(blob.sizeBytes);
    return { complete, stored: (await gateway.metric("cas_gateway_blobs_stored_total")) - before };
  }
  async function isMissing({ hex, sizeBytes }: TestBlob, retention: RetentionBounds | undefined): Promise<boolean> {
    const client = createClient(ContentAddressableStorage, gateway.transport);
    const blobDigests = [{ hash: hex, sizeBytes: BigInt(sizeBytes) }];
    const { missingBlobDigests } = await client.findMissingBlobs({ blobDigests }, await headersOf(retention));
    return missingBlobDigests.length > 0;
  }
  async function storedAt({ digest }: TestBlob): Promise<number> {
    const options = await headersOf(undefined, { role: "downloader" });
    const found = await createClient(BlobService, gateway.transport).describe({ digest }, options);
    if (found.storedAt === undefined) throw new Error("no time");
    return timestampDate(found.storedAt).getTime();
  }

  test.each([1_000, 9_000_000])("of %d bytes count as absent for writes, which store them anew", async (size) => {
    const blob = randomBlob(size);
    expect(await write(blob, short)).toEqual({ complete: false, stored: 1 });
    const first = await storedAt(blob);
    await sleep(2_100);
    // For whoever has time, and who does not ask, it is there.
    expect(await isMissing(blob, long)).toBe(false);
    expect(await isMissing(blob, undefined)).toBe(false);
    expect(await write(blob, long)).toEqual({ complete: true, stored: 0 });
    expect(await write(blob, undefined)).toEqual({ complete: true, stored: 0 });
    expect(await storedAt(blob)).toBe(first);

    expect(await isMissing(blob, short)).toBe(true);
    expect(await write(blob, short)).toEqual({ complete: false, stored: 1 });
    expect(await storedAt(blob)).toBeGreaterThan(first);
    const reader = await token(short, { role: "downloader" });
    expect((await readAll(gateway.transport, `blobs/${blob.hex}/${size}`, reader)).equals(blob.bytes)).toBe(true);
    // Nothing of the old one, or of the upload, is left.
    const names = (await store.content()).filter((name) => name.includes(blob.hex));
    expect(names).toHaveLength(names.some((name) => name.includes("data/")) ? 2 : 1);
  });

  test("where nothing is promised, what has less than half of a short life left counts as absent", async () => {
    const brief = { atLeastSeconds: 0, atMostSeconds: 4 };
    const blob = randomBlob(1_000);
    expect(await write(blob, brief)).toEqual({ complete: false, stored: 1 });
    expect(await isMissing(blob, { ...brief, atMostSeconds: 60 })).toBe(false);
    await sleep(3_100);
    expect(await isMissing(blob, { ...brief, atMostSeconds: 60 })).toBe(false);
    expect(await isMissing(blob, brief)).toBe(true);
    expect(await write(blob, brief)).toEqual({ complete: false, stored: 1 });
  });

  test("bundles are never too old: they go with their attestations", async () => {
    const blob = randomBlob(1_000);
    await write(blob, short, { space: "bundles" });
    await sleep(2_100);
    expect(await write(blob, short, { space: "bundles" })).toEqual({ complete: true, stored: 0 });
  });
}
