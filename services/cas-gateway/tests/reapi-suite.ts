import { randomUUID } from "node:crypto";
import { ByteStream } from "@attestry/api/bytestream";
import { BlobService } from "@attestry/api/cas";
import {
  Capabilities,
  Compressor_Value,
  ContentAddressableStorage,
  DigestFunction_Value,
  SymlinkAbsolutePathStrategy_Value,
} from "@attestry/api/reapi";
import { CasRole } from "@attestry/api/run";
import { deleteBlob, describeBlob, findMissing, uploadBlob } from "@attestry/cas-client";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { backendOf, blobOf, type Gateway, globex, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import type { Store } from "./stores.ts";
import { refusal } from "./writing.ts";

/** What the gateway offers beside streams, whatever the store behind it. */
export function reapiSuite(startStore: () => Promise<Store>): void {
  let store: Store;
  let gateway: Gateway;
  let uploader: string;
  let reader: string;
  let manager: string;
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret);
    uploader = await gateway.casToken();
    reader = await gateway.casToken({ role: "downloader" });
    manager = await gateway.casToken({ role: "manager" });
  });
  afterAll(async () => {
    await gateway.close();
    await store.stop();
  });

  const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
  const cas = () => createClient(ContentAddressableStorage, gateway.transport);
  const messageOf = ({ hex, sizeBytes }: TestBlob) => ({ hash: hex, sizeBytes: BigInt(sizeBytes) });
  const put = async (blob: TestBlob) => {
    await uploadBlob(gateway.transport, { token: uploader, ...blob });
    return blob;
  };

  describe("FindMissingBlobs", () => {
    test("names what is absent, in the order asked, each once", async () => {
      const present = [await put(randomBlob(10)), await put(randomBlob(0))];
      const absent = [randomBlob(11), randomBlob(12)];
      const [first, second] = absent;
      const blobs = [first, present[0], second, first, present[1], present[0]].filter((blob) => blob !== undefined);
      expect(await findMissing(gateway.transport, { token: reader, blobs })).toEqual(
        absent.map(({ digest, sizeBytes }) => ({ digest, sizeBytes })),
      );
      expect(await findMissing(gateway.transport, { token: await gateway.apiToken("reader"), blobs: present })).toEqual(
        [],
      );
    });

    test("asks for an API token where an upload would go, as a write does", async () => {
      const blob = randomBlob(10);
      const token = await gateway.apiToken("reader", globex);
      expect(await findMissing(gateway.transport, { token, blobs: [blob] })).toHaveLength(1);
      const asked = gateway.issued.at(-1)?.purpose.value;
      expect(asked).toMatchObject({ organizationId: globex.id, role: CasRole.UPLOADER });
    });

    test("looks only in the token's own key space, and at the size", async () => {
      const blob = await put(randomBlob(10));
      const bundles = await gateway.casToken({ space: "bundles" });
      expect(await findMissing(gateway.transport, { token: bundles, blobs: [blob] })).toHaveLength(1);
      expect(
        await findMissing(gateway.transport, { token: uploader, blobs: [{ ...blob, sizeBytes: 9 }] }),
      ).toHaveLength(1);
    });

    test("refuses what names no blob", async () => {
      const request = { blobDigests: [{ hash: "x", sizeBytes: 1n }] };
      expect(await refusal(cas().findMissingBlobs(request, bearer(reader)))).toEqual({
        code: Code.InvalidArgument,
        reason: "DIGEST_INVALID",
      });
      const other = { blobDigests: [], digestFunction: DigestFunction_Value.BLAKE3 };
      expect(await refusal(cas().findMissingBlobs(other, bearer(reader)))).toEqual({
        code: Code.InvalidArgument,
        reason: "REQUEST_INVALID",
      });
      const elsewhere = { blobDigests: [], instanceName: "sha256" };
      expect(await refusal(cas().findMissingBlobs(elsewhere, bearer(reader)))).toEqual({
        code: Code.InvalidArgument,
        reason: "RESOURCE_NAME_INVALID",
      });
    });

    test("answers for 60,000 digests in a request of more than 4 MiB", async () => {
      const present = await put(randomBlob(77));
      const blobs = Array.from({ length: 59_999 }, (_, i) => blobOf(Buffer.from(String(i))));
      const missing = await findMissing(gateway.transport, { token: reader, blobs: [...blobs, present] });
      expect(missing).toHaveLength(59_999);
    }, 120_000);
  });

  describe("batches", () => {
    test("store and give back, each blob with its own status", async () => {
      const blobs = [randomBlob(0), randomBlob(1_000), randomBlob(1_000_000)];
      const wrong = { ...randomBlob(10), bytes: Buffer.alloc(10) };
      const requests = [...blobs, wrong].map((blob) => ({ digest: messageOf(blob), data: blob.bytes }));
      const stored = await cas().batchUpdateBlobs({ requests }, bearer(uploader));
      expect(stored.responses.map(({ status }) => status?.code ?? 0)).toEqual([0, 0, 0, Code.InvalidArgument]);

      const digests = [...blobs, wrong].map(messageOf);
      const read = await cas().batchReadBlobs({ digests }, bearer(reader));
      expect(read.responses.map(({ status }) => status?.code ?? 0)).toEqual([0, 0, 0, Code.NotFound]);
      for (const [i, blob] of blobs.entries())
        expect(Buffer.from(read.responses[i]?.data ?? []).equals(blob.bytes)).toBe(true);
    });

    test("as many small blobs as the capabilities let, whose digests are more than 4 MiB, are taken for a batch", async () => {
      // None of them has the bytes that its digest names, so that nothing is stored.
      const data = Buffer.alloc(100);
      const requests = Array.from({ length: 40_000 }, (_, i) => ({
        digest: { hash: i.toString(16).padStart(64, "0"), sizeBytes: 100n },
        data,
      }));
      const { responses } = await cas().batchUpdateBlobs({ requests }, bearer(uploader));
      expect(responses).toHaveLength(40_000);
      expect(responses.every(({ status }) => status?.code === Code.InvalidArgument)).toBe(true);
    }, 120_000);

    test("more than the capabilities tell is refused", async () => {
      const blobs = Array.from({ length: 5 }, () => randomBlob(1_000_000));
      const digests = blobs.map(messageOf);
      expect(await refusal(cas().batchReadBlobs({ digests }, bearer(reader)))).toEqual({
        code: Code.InvalidArgument,
        reason: "REQUEST_INVALID",
      });
      const capabilities = await createClient(Capabilities, gateway.transport).getCapabilities({}, bearer(reader));
      const most = Number(capabilities.cacheCapabilities?.maxBatchTotalSizeBytes);
      const one = randomBlob(most);
      const stored = await cas().batchUpdateBlobs(
        { requests: [{ digest: messageOf(one), data: one.bytes }] },
        bearer(uploader),
      );
      expect(stored.responses[0]?.status?.code ?? 0).toBe(0);
    });
  });

  test("capabilities", async () => {
    for (const token of [uploader, reader, manager, await gateway.apiToken("reader")]) {
      const capabilities = await createClient(Capabilities, gateway.transport).getCapabilities({}, bearer(token));
      expect(capabilities).toMatchObject({
        lowApiVersion: { major: 2, minor: 0 },
        cacheCapabilities: {
          digestFunctions: [DigestFunction_Value.SHA256],
          supportedCompressors: [Compressor_Value.ZSTD],
          symlinkAbsolutePathStrategy: SymlinkAbsolutePathStrategy_Value.ALLOWED,
        },
      });
    }
  });

  test("capabilities tell the limit that an upload meets, of the instance that is asked for", async () => {
    const ask = (token: string, instanceName = "") =>
      createClient(Capabilities, gateway.transport).getCapabilities({ instanceName }, bearer(token));
    const most = async (token: string) => Number((await ask(token, "store")).cacheCapabilities?.maxCasBlobSizeBytes);
    const api = await gateway.apiToken("ci");
    expect(await most(await gateway.casToken({ maxBytes: 99 }))).toBe(99);
    const limit = await most(api);
    expect(limit).toBeGreaterThan(0);
    const resourceName = `uploads/${randomUUID()}/blobs/${"ab".repeat(32)}/${limit + 1}`;
    async function* one() {
      yield { resourceName, data: Buffer.of(1) };
    }
    expect(await refusal(createClient(ByteStream, gateway.transport).write(one(), bearer(api)))).toMatchObject({
      reason: "BLOB_TOO_LARGE",
    });
    for (const token of [api, uploader, reader])
      expect(await refusal(ask(token, "nowhere"))).toMatchObject({ reason: "RESOURCE_NAME_INVALID" });
  });

  test("QueryWriteStatus tells what is there from what is not", async () => {
    const blob = randomBlob(10);
    const resourceName = `uploads/${randomUUID()}/blobs/${blob.hex}/10`;
    const query = () =>
      createClient(ByteStream, gateway.transport).queryWriteStatus({ resourceName }, bearer(uploader));
    expect(await query()).toMatchObject({ committedSize: 0n, complete: false });
    await put(blob);
    expect(await query()).toMatchObject({ committedSize: 10n, complete: true });
  });

  describe("Delete", () => {
    const soon = () => new Date(Date.now() + 5_000);

    test("removes a blob of the token's key space, and is repeatable", async () => {
      const blob = await put(randomBlob(10));
      await uploadBlob(gateway.transport, { token: await gateway.casToken({ space: "bundles" }), ...blob });
      const bundles = await gateway.casToken({ role: "manager", space: "bundles" });
      for (let i = 0; i < 2; i++)
        await deleteBlob(gateway.transport, { token: bundles, digest: blob.digest, notAfter: soon() });
      expect(await refusal(describeBlob(gateway.transport, { token: bundles, digest: blob.digest }))).toMatchObject({
        reason: "BLOB_NOT_FOUND",
      });
      expect(await describeBlob(gateway.transport, { token: reader, digest: blob.digest })).toMatchObject({
        sizeBytes: 10,
      });
    });

    test("is refused when it comes too late, without a time or with none that is one, and to others than managers", async () => {
      const { digest } = await put(randomBlob(10));
      const late = { token: manager, digest, notAfter: new Date(Date.now() - 1) };
      expect(await refusal(deleteBlob(gateway.transport, late))).toEqual({
        code: Code.FailedPrecondition,
        reason: "DELETE_TOO_LATE",
      });
      const service = createClient(BlobService, gateway.transport);
      for (const notAfter of [undefined, { seconds: 2n ** 62n }, { seconds: -(2n ** 63n) }]) {
        expect(await refusal(service.delete({ digest, ...(notAfter && { notAfter }) }, bearer(manager)))).toEqual({
          code: Code.InvalidArgument,
          reason: "REQUEST_INVALID",
        });
      }
      for (const token of [uploader, reader, await gateway.apiToken("admin")]) {
        const request = { digest, notAfter: timestampFromDate(soon()) };
        expect(await refusal(service.delete(request, bearer(token)))).toEqual({
          code: Code.PermissionDenied,
          reason: "ROLE_INSUFFICIENT",
        });
      }
      expect(await describeBlob(gateway.transport, { token: reader, digest })).toMatchObject({ sizeBytes: 10 });
    });
  });

  describe("ValidateBackend", () => {
    const validate = async (change: object) => {
      const token = await gateway.casToken({ role: "manager", backends: [{ ...backendOf(store.secret), ...change }] });
      return createClient(BlobService, gateway.transport).validateBackend({}, bearer(token));
    };

    test("finds a backend that works, and leaves nothing in it", async () => {
      const before = await store.content();
      expect(await validate({})).toMatchObject({ valid: true, error: "" });
      expect(await store.content()).toEqual(before);
    });

    test("names the step that fails and why", async () => {
      expect(await validate({ secretRef: "nowhere" })).toMatchObject({
        valid: false,
        error: expect.stringMatching(/^secret: .*nowhere.*no file/),
      });
      expect(await validate({ secretRef: "../../etc/passwd" })).toMatchObject({
        valid: false,
        error: expect.stringMatching(/^secret: /),
      });
      expect(await validate({ prefix: "../elsewhere" })).toMatchObject({
        valid: false,
        error: expect.stringMatching(/^secret: the prefix/),
      });
    });
  });
}
