import { ByteStream } from "@attestry/api/bytestream";
import { describeBlob, downloadBlob, readBlob, uploadBlob } from "@attestry/cas-client";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { acme, backendOf, type Gateway, globex, randomBlob, startGateway } from "./harness.ts";
import type { Store } from "./stores.ts";
import { keyOf, mebibyte, refusal } from "./writing.ts";

/** Reads through a gateway, whatever the store behind it. */
export function readSuite(startStore: () => Promise<Store>): void {
  const blob = randomBlob(3 * mebibyte + 5);
  let store: Store;
  let gateway: Gateway;
  let uploader: string;
  let reader: string;
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret);
    uploader = await gateway.casToken();
    reader = await gateway.casToken({ role: "downloader" });
    await uploadBlob(gateway.transport, { token: uploader, ...blob });
  });
  afterAll(async () => {
    await gateway.close();
    await store.stop();
  });

  async function read(resourceName: string, offset = 0n, limit = 0n, token = reader): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    const options = { headers: { authorization: `Bearer ${token}` } };
    for await (const { data } of createClient(ByteStream, gateway.transport).read(
      { resourceName, readOffset: offset, readLimit: limit },
      options,
    )) {
      expect(data.byteLength).toBeLessThanOrEqual(mebibyte);
      chunks.push(data);
    }
    return Buffer.concat(chunks);
  }

  const size = blob.sizeBytes;
  test.each([
    [0, 0],
    [0, 1],
    [0, size],
    [0, size + 1],
    [1, 0],
    [1, size],
    [size - 1, 0],
    [size - 1, 1],
    [size, 0],
    [size, 10],
    [1_234_567, 1_000_001],
  ])("offset %d, limit %d", async (offset, limit) => {
    const end = limit === 0 ? size : offset + limit;
    const came = await read(`blobs/${blob.hex}/${size}`, BigInt(offset), BigInt(limit));
    expect(came.equals(blob.bytes.subarray(offset, end))).toBe(true);
  });

  test.each([
    ["an offset past the end", [BigInt(size + 1), 0n], Code.OutOfRange, "READ_OFFSET_OUT_OF_RANGE"],
    ["a negative offset", [-1n, 0n], Code.OutOfRange, "READ_OFFSET_OUT_OF_RANGE"],
    ["a negative limit", [0n, -1n], Code.InvalidArgument, "REQUEST_INVALID"],
  ] as const)("%s is refused", async (_what, [offset, limit], code, reason) => {
    expect(await refusal(read(`blobs/${blob.hex}/${size}`, offset, limit))).toEqual({ code, reason });
  });

  test.each([
    ["an absent blob", `blobs/${randomBlob(9).hex}/9`, Code.NotFound, "BLOB_NOT_FOUND"],
    ["another size", `blobs/${blob.hex}/${size + 1}`, Code.NotFound, "BLOB_NOT_FOUND"],
    ["another digest function", `blobs/blake3/${blob.hex}/${size}`, Code.InvalidArgument, "RESOURCE_NAME_INVALID"],
    [
      "an instance that is no backend",
      `sha256/blobs/${blob.hex}/${size}`,
      Code.InvalidArgument,
      "RESOURCE_NAME_INVALID",
    ],
  ] as const)("%s", async (_what, name, code, reason) => {
    expect(await refusal(read(name))).toEqual({ code, reason });
    const ofApiToken = await gateway.apiToken("reader");
    expect(await refusal(read(name, 0n, 0n, ofApiToken))).toEqual({ code, reason });
  });

  test("of another size it has no part either, not even the empty one at its end", async () => {
    const name = `blobs/${blob.hex}/${size + 1}`;
    for (const offset of [1, size, size + 1])
      expect(await refusal(read(name, BigInt(offset)))).toEqual({ code: Code.NotFound, reason: "BLOB_NOT_FOUND" });
    expect(await gateway.metric("cas_gateway_blobs_corrupt_total")).toBe(0);
  });

  test.each([
    ["one byte short", 100, 99],
    ["empty", 100, 0],
    ["half of it", 3 * mebibyte, 1_500_000],
    ["a byte too long", 100, 101],
  ])("an object that is %s of %d bytes is DATA_LOSS, counted, and out of sight", async (_what, bytes, stored) => {
    const right = randomBlob(bytes);
    await store.put(keyOf(right), Buffer.concat([right.bytes, Buffer.alloc(1)]).subarray(0, stored));
    const before = await gateway.metric("cas_gateway_blobs_corrupt_total");
    const reading = () => refusal(read(`blobs/${right.hex}/${bytes}`));
    expect(await reading()).toEqual({ code: Code.DataLoss, reason: "BLOB_CORRUPT" });
    expect(await gateway.metric("cas_gateway_blobs_corrupt_total")).toBe(before + 1);
    expect(await reading()).toEqual({ code: Code.NotFound, reason: "BLOB_NOT_FOUND" });
    await uploadBlob(gateway.transport, { token: uploader, ...right });
    expect((await read(`blobs/${right.hex}/${bytes}`)).equals(right.bytes)).toBe(true);
  });

  test.each(["", "/", "store/"])("SHA-256 named in the resource name, after %j", async (instance) => {
    expect((await read(`${instance}blobs/sha256/${blob.hex}/${size}`)).equals(blob.bytes)).toBe(true);
    expect((await read(`${instance}blobs/${blob.hex}/${size}`)).equals(blob.bytes)).toBe(true);
  });

  test("an API token reads what is its organization's", async () => {
    const token = await gateway.apiToken("reader");
    expect((await read(`blobs/${blob.hex}/${size}`, 0n, 0n, token)).equals(blob.bytes)).toBe(true);
    const asked = gateway.issued.length;
    await read(`blobs/${blob.hex}/${size}`, 0n, 0n, token);
    expect(gateway.issued.length).toBe(asked);
    expect(gateway.issued.at(-1)?.purpose.value).toMatchObject({ organizationId: acme.id });
  });

  test("another organization on the same store sees nothing of it", async () => {
    const tokens = [
      await gateway.casToken({ role: "downloader", organizationId: globex.id, organization: globex.name }),
      await gateway.apiToken("admin", globex),
    ];
    for (const token of tokens) {
      expect(await refusal(read(`blobs/${blob.hex}/${size}`, 0n, 0n, token))).toEqual({
        code: Code.NotFound,
        reason: "BLOB_NOT_FOUND",
      });
    }
  });

  test("the token bounds what may be read", async () => {
    const name = `blobs/${blob.hex}/${size}`;
    expect(await refusal(read(name, 0n, 0n, uploader))).toEqual({
      code: Code.PermissionDenied,
      reason: "ROLE_INSUFFICIENT",
    });
    const other = await gateway.casToken({ role: "downloader", digest: randomBlob(1).digest });
    expect(await refusal(read(name, 0n, 0n, other))).toEqual({
      code: Code.PermissionDenied,
      reason: "DIGEST_NOT_ALLOWED",
    });
    for (const claims of [{ role: "manager" }, { role: "downloader", digest: blob.digest }] as const) {
      expect((await read(name, 0n, 0n, await gateway.casToken(claims))).equals(blob.bytes)).toBe(true);
    }
  });

  test("bundles are found as blobs are, and described where they are", async () => {
    const bundle = randomBlob(100);
    await uploadBlob(gateway.transport, { token: await gateway.casToken({ space: "bundles" }), ...bundle });
    expect((await downloadBlob(gateway.transport, { token: reader, ...bundle })).equals(bundle.bytes)).toBe(true);
    const described = await describeBlob(gateway.transport, { token: reader, digest: bundle.digest });
    expect(described).toMatchObject({ sizeBytes: 100, backendName: "store" });
    expect(Math.abs((described.storedAt?.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
    expect(await refusal(describeBlob(gateway.transport, { token: uploader, digest: bundle.digest }))).toEqual({
      code: Code.NotFound,
      reason: "BLOB_NOT_FOUND",
    });
    await expect(describeBlob(gateway.transport, { token: reader, digest: "sha256:x" })).rejects.toMatchObject({
      code: "DIGEST_INVALID",
    });
  });

  test("an organization's prefix names nothing of another's", async () => {
    const victim = randomBlob(50);
    const folder = `${acme.name}/blobs/${victim.hex.slice(0, 2)}/${victim.hex.slice(2, 4)}`;
    for (const prefix of [acme.name, folder, `${folder}/${victim.hex}`]) {
      const backends = [{ ...backendOf(store.secret), prefix }];
      const owner = { organizationId: globex.id, organization: globex.name, backends };
      const claimed = randomBlob(60);
      await uploadBlob(gateway.transport, { token: await gateway.casToken(owner), ...claimed });
      const token = await gateway.casToken({ ...owner, role: "downloader" });
      expect((await downloadBlob(gateway.transport, { token, ...claimed })).equals(claimed.bytes)).toBe(true);
      expect(await store.content()).toContain(`${globex.name}/${prefix}/${keyOf(claimed).slice("acme/".length)}`);
    }
    await uploadBlob(gateway.transport, { token: uploader, ...victim });
    expect((await downloadBlob(gateway.transport, { token: reader, ...victim })).equals(victim.bytes)).toBe(true);
  });

  describe("several backends", () => {
    const working = () => backendOf(store.secret);
    const broken = () => ({ ...backendOf(store.secret), name: "broken", secretRef: "_shared/broken" });
    const elsewhere = () => ({ ...backendOf(store.secret), name: "elsewhere", prefix: "elsewhere" });

    test("the first that has the blob gives it", async () => {
      const token = await gateway.casToken({ role: "downloader", backends: [elsewhere(), broken(), working()] });
      expect((await downloadBlob(gateway.transport, { token, ...blob })).equals(blob.bytes)).toBe(true);
      expect(await describeBlob(gateway.transport, { token, digest: blob.digest })).toMatchObject({
        backendName: "store",
      });
    });

    test.each([100, 5 * mebibyte])(
      "a corrupt object of %d bytes is passed over for another backend's",
      async (bytes) => {
        const right = randomBlob(bytes);
        await store.put(keyOf(right), Buffer.alloc(bytes));
        const there = await gateway.casToken({ backends: [elsewhere()] });
        await uploadBlob(gateway.transport, { token: there, ...right });
        const token = await gateway.casToken({ role: "downloader", backends: [working(), elsewhere()] });
        const downloading = () => downloadBlob(gateway.transport, { token, ...right });
        // Once a part of it went to the caller, only the next read can have the other.
        if (bytes > mebibyte)
          expect(await refusal(downloading())).toEqual({ code: Code.DataLoss, reason: "BLOB_CORRUPT" });
        expect((await downloading()).equals(right.bytes)).toBe(true);
      },
    );

    test("it is missing only if every one says so", async () => {
      const absent = randomBlob(10);
      const wanted = { resourceName: `blobs/${absent.hex}/10` };
      const sure = await gateway.casToken({ role: "downloader", backends: [elsewhere(), working()] });
      expect(await refusal(read(wanted.resourceName, 0n, 0n, sure))).toEqual({
        code: Code.NotFound,
        reason: "BLOB_NOT_FOUND",
      });
      const unsure = await gateway.casToken({ role: "downloader", backends: [elsewhere(), broken(), working()] });
      expect(await refusal(read(wanted.resourceName, 0n, 0n, unsure))).toEqual({
        code: Code.FailedPrecondition,
        reason: "SECRET_INVALID",
      });
    });
  });

  test.each([100, 5 * mebibyte])("a corrupt object of %d bytes is DATA_LOSS before its last chunk", async (bytes) => {
    const right = randomBlob(bytes);
    await uploadBlob(gateway.transport, { token: uploader, ...right });
    const wrong = Buffer.from(right.bytes);
    wrong.writeUInt8(wrong.readUInt8(0) ^ 1, 0);
    await store.put(keyOf(right), wrong);
    const before = await gateway.metric("cas_gateway_blobs_corrupt_total");

    let received = 0;
    async function receive() {
      for await (const chunk of readBlob(gateway.transport, { token: reader, ...right })) received += chunk.byteLength;
    }
    expect(await refusal(receive())).toEqual({ code: Code.DataLoss, reason: "BLOB_CORRUPT" });
    expect(received).toBeLessThan(bytes);
    expect(await gateway.metric("cas_gateway_blobs_corrupt_total")).toBe(before + 1);

    await uploadBlob(gateway.transport, { token: uploader, ...right });
    expect((await downloadBlob(gateway.transport, { token: reader, ...right })).equals(right.bytes)).toBe(true);
  });

  test("a reader that goes away, many times over", async () => {
    const large = randomBlob(20 * mebibyte);
    await uploadBlob(gateway.transport, { token: uploader, ...large });
    for (let i = 0; i < 30; i++) {
      for await (const _chunk of readBlob(gateway.transport, { token: reader, ...large })) break;
    }
    expect((await downloadBlob(gateway.transport, { token: reader, ...large })).equals(large.bytes)).toBe(true);
  });
}
