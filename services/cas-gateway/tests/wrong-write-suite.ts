import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ByteStream } from "@attestry/api/bytestream";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { type Gateway, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import type { Store } from "./stores.ts";
import { keyOf, type Message, mebibyte, refusal, visible } from "./writing.ts";

/**
 * Writes through a gateway that break the rules, whatever the store behind it: each is refused, nothing of it is visible,
 * and nothing is left unless it may go on.
 */
export function wrongWriteSuite(startStore: () => Promise<Store>): void {
  let store: Store;
  let gateway: Gateway;
  let impatient: Gateway;
  let token: string;
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret);
    impatient = await startGateway(store.secret, { idleTimeoutMs: 700 });
    token = await gateway.casToken();
  });
  afterAll(async () => {
    await gateway.close();
    await impatient.close();
    await store.stop();
  });

  const nameOf = ({ hex, sizeBytes }: TestBlob) => `uploads/${randomUUID()}/blobs/${hex}/${sizeBytes}`;
  const headers = (bearer = token) => ({ authorization: `Bearer ${bearer}` });
  const write = (messages: AsyncIterable<Message>, bearer = token, signal?: AbortSignal, { transport } = gateway) =>
    createClient(ByteStream, transport).write(messages, {
      headers: headers(bearer),
      ...(signal && { signal }),
    });
  async function* sending(...messages: Message[]) {
    yield* messages;
  }

  describe.each([11, 3 * mebibyte, 12 * mebibyte])(
    "a wrong write of %d bytes is refused and leaves nothing",
    (size) => {
      const { bytes, ...rest } = randomBlob(size);
      const blob: TestBlob = { bytes, ...rest };
      let uploadId = "";
      let name = "";
      beforeEach(() => {
        uploadId = randomUUID();
        name = `uploads/${uploadId}/blobs/${blob.hex}/${size}`;
      });
      const leftovers = async () => (await store.content()).filter((found) => found.includes(uploadId));
      const split = Math.floor(size / 2);
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8(flipped.readUInt8(0) ^ 1, 0);

      async function* stream(
        data: Buffer,
        last: Partial<Message> = { finishWrite: true },
        from = 0,
      ): AsyncGenerator<Message> {
        for (let offset = from; offset < data.byteLength; offset += mebibyte) {
          const message = {
            resourceName: offset === from ? name : "",
            writeOffset: BigInt(offset),
            data: data.subarray(offset, offset + mebibyte),
          };
          yield offset + mebibyte < data.byteLength ? message : { ...message, ...last };
        }
      }
      async function* andThen(first: AsyncIterable<Message>, ...more: Message[]) {
        yield* first;
        yield* more;
      }
      const end = BigInt(size);
      const cases: [string, () => AsyncIterable<Message>, string][] = [
        ["other bytes", () => stream(flipped), "DIGEST_MISMATCH"],
        ["fewer bytes, then finish_write", () => stream(bytes.subarray(0, size - 1)), "SIZE_MISMATCH"],
        ["fewer bytes, then half-close", () => stream(bytes.subarray(0, size - 1), {}), "WRITE_UNFINISHED"],
        ["all bytes, then half-close", () => stream(bytes, {}), "WRITE_UNFINISHED"],
        ["nothing, then half-close", () => sending({ resourceName: name }), "WRITE_UNFINISHED"],
        ["no message", () => sending(), "WRITE_UNFINISHED"],
        ["more bytes", () => stream(Buffer.concat([bytes, Buffer.alloc(1)])), "SIZE_MISMATCH"],
        ["much more bytes", () => stream(Buffer.concat([bytes, Buffer.alloc(2 * mebibyte)])), "SIZE_MISMATCH"],
        [
          "bytes after finish_write",
          () => andThen(stream(bytes), { writeOffset: end, data: Buffer.from("x"), finishWrite: true }),
          "WRITE_OFFSET_INVALID",
        ],
        ["a message after finish_write", () => andThen(stream(bytes), { writeOffset: end }), "WRITE_OFFSET_INVALID"],
        ["an offset that begins late", () => stream(bytes, { finishWrite: true }, 1), "WRITE_OFFSET_INVALID"],
        [
          "a gap",
          () =>
            sending(
              { resourceName: name, data: bytes.subarray(0, split) },
              {
                writeOffset: BigInt(split + 1),
                data: bytes.subarray(split + 1, split + 1 + mebibyte),
                finishWrite: true,
              },
            ),
          "WRITE_OFFSET_INVALID",
        ],
        [
          "an overlap",
          () =>
            sending(
              { resourceName: name, data: bytes.subarray(0, split) },
              { writeOffset: BigInt(split - 1), data: bytes.subarray(split - 1, split), finishWrite: true },
            ),
          "WRITE_OFFSET_INVALID",
        ],
        [
          "another resource name",
          () =>
            sending(
              { resourceName: name, data: bytes.subarray(0, 1) },
              { resourceName: nameOf(blob), writeOffset: 1n, data: bytes.subarray(1, 2) },
            ),
          "RESOURCE_NAME_INVALID",
        ],
        ["no resource name", () => sending({ data: bytes.subarray(0, 1), finishWrite: true }), "RESOURCE_NAME_INVALID"],
      ];
      // Messages of more than 4 MiB are refused as such, which is not what these are about.
      test.each(cases.filter(([what]) => size <= 8 * mebibyte || !/a gap|an overlap/.test(what)))(
        "%s",
        async (_what, messages, reason) => {
          const before = await visible(store);
          expect(await refusal(write(messages()))).toEqual({ code: Code.InvalidArgument, reason });
          expect(await visible(store)).toEqual(before);
          if (reason !== "WRITE_UNFINISHED") expect(await leftovers()).toEqual([]);
        },
      );

      test("a cancel between messages", async () => {
        const before = await visible(store);
        const cancelling = new AbortController();
        async function* cancelled() {
          yield { resourceName: name, data: bytes.subarray(0, Math.min(split, mebibyte)) };
          await sleep(30);
          cancelling.abort();
          await sleep(30);
          yield { writeOffset: 0n, data: bytes, finishWrite: true };
        }
        expect(await refusal(write(cancelled(), token, cancelling.signal))).toMatchObject({ code: Code.Canceled });
        // The caller knows before the gateway does.
        await sleep(200);
        expect(await visible(store)).toEqual(before);
      });

      test("silence", async () => {
        const before = await visible(store);
        async function* silent() {
          yield { resourceName: name, data: bytes.subarray(0, 1) };
          await sleep(20_000, undefined, { ref: false });
        }
        const writing = write(silent(), await impatient.casToken(), undefined, impatient);
        expect(await refusal(writing)).toEqual({ code: Code.DeadlineExceeded, reason: "DEADLINE_EXCEEDED" });
        await sleep(200);
        expect(await visible(store)).toEqual(before);
      });

      test("and the right one is accepted after them all", async () => {
        expect(await write(stream(bytes))).toMatchObject({ committedSize: end });
        expect(await store.content()).toContain(keyOf(blob));
      });
    },
  );

  // A store may complete an upload of fewer bytes than were declared.
  test.each([
    [11, { finishWrite: true }, "SIZE_MISMATCH"],
    [11, {}, "WRITE_UNFINISHED"],
    [13, { finishWrite: true }, "SIZE_MISMATCH"],
  ])("a name that says 12 MiB and %d MiB of bytes, ending with %j", async (mebibytes, last, reason) => {
    const blob = randomBlob(12 * mebibyte);
    const sent = Buffer.concat([blob.bytes, Buffer.alloc(mebibyte)]).subarray(0, mebibytes * mebibyte);
    async function* stream(): AsyncGenerator<Message> {
      for (let offset = 0; offset < sent.byteLength; offset += mebibyte) {
        const isLast = offset + mebibyte === sent.byteLength;
        yield {
          resourceName: offset === 0 ? nameOf(blob) : "",
          writeOffset: BigInt(offset),
          data: sent.subarray(offset, offset + mebibyte),
          ...(isLast && last),
        };
      }
    }
    const before = await visible(store);
    expect(await refusal(write(stream()))).toEqual({ code: Code.InvalidArgument, reason });
    expect(await visible(store)).toEqual(before);
  });
}
