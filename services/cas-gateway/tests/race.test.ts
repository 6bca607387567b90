import { setTimeout as sleep } from "node:timers/promises";
import { describeWith } from "@attestry/dev-env";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type Gateway, randomBlob, startGateway } from "./harness.ts";
import { bucketStore, folderStore, type Store } from "./stores.ts";
import { ClientUpload, type Message, mebibyte, readAll } from "./writing.ts";

const share = fc.double({ min: 0, max: 1, noNaN: true });
const writers = fc.record({
  /** Bytes of each message, as shares of a mebibyte; the last one counts for all that is left. */
  chunks: fc.array(fc.double({ min: 0.05, max: 1, noNaN: true }), { minLength: 1, maxLength: 8 }),
  /** How much of the blob comes before the client ends its stream; undefined: all, with finish_write. */
  until: fc.option(share, { nil: undefined, freq: 2 }),
  pauseMs: fc.nat(20),
});
type Writer = typeof writers extends fc.Arbitrary<infer Value> ? Value : never;

async function* messagesOf(name: string, bytes: Buffer, { chunks, until, pauseMs }: Writer): AsyncGenerator<Message> {
  const end = until === undefined ? bytes.byteLength : Math.floor(until * bytes.byteLength);
  let offset = 0;
  for (let i = 0; i === 0 || offset < end; i++) {
    const next = Math.min(end, offset + Math.ceil((chunks[Math.min(i, chunks.length - 1)] ?? 1) * mebibyte));
    const finishWrite = until === undefined && next === end;
    yield { resourceName: name, writeOffset: BigInt(offset), data: bytes.subarray(offset, next), finishWrite };
    offset = next;
    await sleep(pauseMs);
  }
}

function races(startStore: () => Promise<Store>, numRuns: number): void {
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

  test("a read gives the right bytes or none, whatever came beside them", async () => {
    const token = await gateway.casToken();
    const reader = await gateway.casToken({ role: "downloader" });
    const sizes = fc.constantFrom(100, 700_000, 3 * mebibyte, 10 * mebibyte);
    await fc.assert(
      fc.asyncProperty(sizes, share, writers, writers, async (size, wrongAt, right, wrong) => {
        const blob = randomBlob(size);
        const flipped = Buffer.from(blob.bytes);
        const at = Math.min(size - 1, Math.floor(wrongAt * size));
        flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
        const write = (bytes: Buffer, writer: Writer) => {
          const upload = new ClientUpload(blob, token);
          return upload.write(gateway.transport, messagesOf(upload.name, bytes, writer)).then(
            () => "answered",
            () => "refused",
          );
        };
        const [ofRight, ofWrong] = await Promise.all([write(blob.bytes, right), write(flipped, wrong)]);
        if (right.until === undefined) expect(ofRight).toBe("answered");
        // Who sends wrong bytes is told that the blob is there only if it is.
        const isThere = ofRight === "answered";
        if (!isThere) expect(ofWrong).toBe("refused");
        const reading = readAll(gateway.transport, `blobs/${blob.hex}/${size}`, reader);
        if (isThere) expect((await reading).equals(blob.bytes)).toBe(true);
        else await expect(reading).rejects.toThrow();
      }),
      { numRuns, interruptAfterTimeLimit: 20_000, markInterruptAsFailure: false },
    );
  });
}

describe("two writers of one digest, one of whom is wrong", () => {
  describe("in a folder", () => races(folderStore, 12));
  describeWith(["minio"], "in a bucket", () => races(bucketStore, 6));
});
