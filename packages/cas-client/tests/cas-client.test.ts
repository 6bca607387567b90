import { createHash, randomBytes } from "node:crypto";
import { ByteStream, type WriteRequest } from "@attestry/api/bytestream";
import { BlobService } from "@attestry/api/cas";
import { ContentAddressableStorage } from "@attestry/api/reapi";
import { Code, ConnectError, createRouterTransport, type HandlerContext } from "@connectrpc/connect";
import { describe, expect, test } from "@jest/globals";
import { deleteBlob, describeBlob, downloadBlob, findMissing, readBlob, uploadBlob } from "../src/index.ts";

const mebibyte = 1024 * 1024;
const token = "token";

function blobOf(bytes: Buffer) {
  const hex = createHash("sha256").update(bytes).digest("hex");
  return { bytes, hex, digest: `sha256:${hex}`, sizeBytes: bytes.byteLength };
}

async function* chunksOf(bytes: Buffer, size: number) {
  for (let start = 0; start < bytes.byteLength; start += size) yield bytes.subarray(start, start + size);
}

/** A gateway that takes everything, and tells what came. */
function recorder() {
  const messages: WriteRequest[] = [];
  const authorizations: (string | null)[] = [];
  const transport = createRouterTransport((router) => {
    router.service(ByteStream, {
      async write(requests, context: HandlerContext) {
        authorizations.push(context.requestHeader.get("authorization"));
        let committed = 0;
        for await (const message of requests) {
          messages.push(message);
          committed += message.data.byteLength;
        }
        return { committedSize: BigInt(committed) };
      },
    });
  });
  return { transport, messages, authorizations };
}

describe("uploadBlob", () => {
  test.each([
    [0, [0]],
    [1, [1]],
    [mebibyte, [mebibyte]],
    [2 * mebibyte + 1, [mebibyte, mebibyte, 1]],
  ])("sends %d bytes in messages of at most 1 MiB, the last with finish_write", async (size, sizes) => {
    const { transport, messages, authorizations } = recorder();
    const blob = blobOf(randomBytes(size));
    const progress: number[] = [];
    const answer = await uploadBlob(transport, { token, ...blob, onProgress: (bytes) => progress.push(bytes) });
    expect(answer).toEqual({ committedSize: size });
    expect(authorizations).toEqual(["Bearer token"]);
    expect(messages.map(({ data }) => data.byteLength)).toEqual(sizes);
    expect(messages.map(({ finishWrite }) => finishWrite)).toEqual(sizes.map((_, i) => i === sizes.length - 1));
    expect(messages.map(({ writeOffset }) => Number(writeOffset))).toEqual(sizes.map((_, i) => i * mebibyte));
    expect(messages[0]?.resourceName).toMatch(new RegExp(`^uploads/[0-9a-f-]{36}/blobs/${blob.hex}/${size}$`));
    expect(Buffer.concat(messages.map(({ data }) => data)).equals(blob.bytes)).toBe(true);
    expect(progress.at(-1)).toBe(size);
  });

  test("never finishes a write whose source has another size or fails", async () => {
    const blob = blobOf(randomBytes(100));
    async function* failing() {
      yield blob.bytes;
      throw new RangeError("the disk is gone");
    }
    const sources: [AsyncIterable<Uint8Array> | Buffer, object][] = [
      [chunksOf(blob.bytes.subarray(0, 99), 10), { code: "SIZE_MISMATCH" }],
      [Buffer.concat([blob.bytes, Buffer.alloc(1)]), { code: "SIZE_MISMATCH" }],
      [Buffer.alloc(0), { code: "SIZE_MISMATCH" }],
      [failing(), { message: "the disk is gone" }],
    ];
    for (const [bytes, fault] of sources) {
      const { transport, messages } = recorder();
      await expect(uploadBlob(transport, { token, ...blob, bytes })).rejects.toMatchObject(fault);
      expect(messages.some(({ finishWrite }) => finishWrite)).toBe(false);
    }
  });

  test("passes on what the gateway says", async () => {
    const transport = createRouterTransport((router) => {
      router.service(ByteStream, {
        write: () => {
          throw new ConnectError("too large", Code.InvalidArgument);
        },
      });
    });
    await expect(uploadBlob(transport, { token, ...blobOf(randomBytes(3 * mebibyte)) })).rejects.toMatchObject({
      code: Code.InvalidArgument,
      rawMessage: "too large",
    });
  });

  test.each(["", "x", `sha256:${"A".repeat(64)}`, "a".repeat(64)])("refuses the digest %j", async (digest) => {
    await expect(
      uploadBlob(recorder().transport, { token, digest, bytes: Buffer.alloc(0), sizeBytes: 0 }),
    ).rejects.toMatchObject({ code: "DIGEST_INVALID" });
  });
});

/** A gateway that answers every read with these bytes. */
function sending(bytes: Buffer) {
  const names: string[] = [];
  const transport = createRouterTransport((router) => {
    router.service(ByteStream, {
      async *read({ resourceName }) {
        names.push(resourceName);
        for await (const data of chunksOf(bytes, 10)) yield { data };
      },
    });
  });
  return { transport, names };
}

describe("downloadBlob", () => {
  const blob = blobOf(randomBytes(95));

  test("gives what the digest names", async () => {
    const { transport, names } = sending(blob.bytes);
    expect((await downloadBlob(transport, { token, ...blob })).equals(blob.bytes)).toBe(true);
    expect(names).toEqual([`blobs/${blob.hex}/95`]);
    expect(await downloadBlob(sending(Buffer.alloc(0)).transport, { token, ...blobOf(Buffer.alloc(0)) })).toHaveLength(
      0,
    );
  });

  test.each([
    ["other bytes", Buffer.alloc(95)],
    ["fewer bytes", blob.bytes.subarray(0, 94)],
    ["more bytes", Buffer.concat([blob.bytes, Buffer.alloc(1)])],
    ["no bytes", Buffer.alloc(0)],
  ])("takes %s for corrupt", async (_what, bytes) => {
    await expect(downloadBlob(sending(bytes).transport, { token, ...blob })).rejects.toMatchObject({
      name: "BlobError",
      code: "BLOB_CORRUPT",
    });
  });

  test("ends with its signal", async () => {
    const stopping = new AbortController();
    async function receive() {
      for await (const _chunk of readBlob(sending(blob.bytes).transport, { token, ...blob, signal: stopping.signal }))
        stopping.abort();
    }
    await expect(receive()).rejects.toMatchObject({ code: Code.Canceled });
    await expect(
      downloadBlob(sending(blob.bytes).transport, { token, ...blob, signal: AbortSignal.abort() }),
    ).rejects.toThrow();
  });
});

test("describeBlob, findMissing and deleteBlob speak of digests as the rest of the API does", async () => {
  const hex = "ab".repeat(32);
  const digest = `sha256:${hex}`;
  const deleted: unknown[] = [];
  const transport = createRouterTransport((router) => {
    router.service(BlobService, {
      describe: ({ digest }) => ({
        sizeBytes: BigInt(digest.length),
        backendName: "main",
        storedAt: { seconds: 1_700_000_000n },
      }),
      delete: (request) => {
        deleted.push(request);
        return {};
      },
    });
    router.service(ContentAddressableStorage, {
      findMissingBlobs: ({ blobDigests }) => ({ missingBlobDigests: blobDigests.slice(1) }),
    });
  });
  expect(await describeBlob(transport, { token, digest })).toEqual({
    sizeBytes: 71,
    backendName: "main",
    storedAt: new Date(1_700_000_000_000),
  });
  const blobs = [
    { digest, sizeBytes: 1 },
    { digest, sizeBytes: 2 },
  ];
  expect(await findMissing(transport, { token, blobs })).toEqual(blobs.slice(1));
  await deleteBlob(transport, { token, digest, notAfter: new Date(1_700_000_001_500) });
  expect(deleted).toMatchObject([{ digest, notAfter: { seconds: 1_700_000_001n, nanos: 500_000_000 } }]);
});
