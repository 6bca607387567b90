import { createHash, randomBytes } from "node:crypto";
import { ByteStream } from "@attestry/api/bytestream";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, test } from "@jest/globals";
import { downloadBlob, uploadBlob } from "../src/index.ts";

const mebibyte = 1024 * 1024;
const bytes = randomBytes(4 * mebibyte);
const blob = { digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}`, sizeBytes: bytes.byteLength };

describe("a gateway that", () => {
  test("is away for a while in the middle of a download is waited for as long as it may stall", async () => {
    let lostAt = 0;
    let vain = 0;
    const transport = createRouterTransport((router) =>
      router.service(ByteStream, {
        async *read({ readOffset }) {
          if (readOffset === 0n) {
            yield { data: bytes.subarray(0, mebibyte) };
            lostAt = performance.now();
            throw new ConnectError("connection lost", Code.Unavailable);
          }
          if (performance.now() - lostAt < 1_500) {
            vain++;
            throw new ConnectError("connect ECONNREFUSED", Code.Unavailable);
          }
          yield { data: bytes.subarray(Number(readOffset)) };
        },
      }),
    );
    const got = await downloadBlob(transport, { token: "t", ...blob, stallMs: 10_000 });
    expect(got.equals(bytes)).toBe(true);
    expect(vain).toBeGreaterThan(2);
  });

  test("says that it has less than was sent is asked again, and gets the rest", async () => {
    const offsets: number[] = [];
    const transport = createRouterTransport((router) =>
      router.service(ByteStream, {
        async write(messages) {
          let size = 0;
          let first: number | undefined;
          for await (const { writeOffset, data } of messages) {
            first ??= Number(writeOffset);
            size = Number(writeOffset) + data.byteLength;
          }
          offsets.push(first ?? -1);
          return { committedSize: BigInt(offsets.length === 1 ? mebibyte : size) };
        },
        queryWriteStatus: () => ({ committedSize: BigInt(mebibyte), complete: false }),
      }),
    );
    const answer = await uploadBlob(transport, { token: "t", ...blob, bytes });
    expect(answer).toEqual({ committedSize: blob.sizeBytes });
    expect(offsets).toEqual([0, mebibyte]);
  });

  test("never takes all is no success", async () => {
    const transport = createRouterTransport((router) =>
      router.service(ByteStream, {
        write: async (messages) => {
          for await (const _message of messages);
          return { committedSize: 0n };
        },
        queryWriteStatus: () => ({ committedSize: 0n, complete: false }),
      }),
    );
    const uploading = uploadBlob(transport, { token: "t", ...blob, bytes, stallMs: 300 });
    await expect(uploading).rejects.toMatchObject({
      code: Code.Unavailable,
      rawMessage: expect.stringContaining("0 of 4194304 bytes"),
    });
    const once = uploadBlob(transport, { token: "t", ...blob, bytes: chunks() });
    await expect(once).rejects.toMatchObject({ code: Code.Unavailable });
  });
});

async function* chunks() {
  yield bytes;
}
