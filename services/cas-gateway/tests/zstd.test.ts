import { createHash, randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { constants, createZstdCompress, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import { compressed, decompressed } from "../src/blobs/zstd.ts";

const mebibyte = 1024 * 1024;
const { signal } = new AbortController();
const organization = "acme";

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function skippable(bytes: number): Buffer {
  const frame = Buffer.alloc(8 + bytes, 0x28);
  frame.writeUInt32LE(0x184d2a5f, 0);
  frame.writeUInt32LE(bytes, 4);
  return frame;
}

async function streamed(bytes: Buffer, params: Record<number, number>): Promise<Buffer> {
  const compressor = createZstdCompress({ params });
  compressor.end(bytes);
  return collect(compressor);
}

const raw = randomBytes(300_000);
const text = Buffer.from("one line like the next\n".repeat(20_000));
const checked = { [constants.ZSTD_c_checksumFlag]: 1 };
const ofRaw = zstdCompressSync(raw, { params: checked });
const ofText = zstdCompressSync(text, { params: checked });
const empty = zstdCompressSync(Buffer.alloc(0));

describe("what is decompressed", () => {
  const decoded = (data: Buffer, sizeBytes: number, chunk: number) =>
    collect(decompressed(chunksOf(data, chunk), { organization, sizeBytes, signal }));

  const good: [string, Buffer, Buffer][] = [
    ["one frame", ofRaw, raw],
    ["a frame that compresses well", ofText, text],
    ["frames one after the other", Buffer.concat([ofText, ofRaw, empty, ofText]), Buffer.concat([text, raw, text])],
    [
      "a frame in the middle of what is to be skipped",
      Buffer.concat([skippable(0), skippable(9), ofText, skippable(3)]),
      text,
    ],
    ["an empty frame", empty, Buffer.alloc(0)],
    ["only what is to be skipped", skippable(12), Buffer.alloc(0)],
    ["no frame", Buffer.alloc(0), Buffer.alloc(0)],
    [
      "a frame for each 4 KiB",
      Buffer.concat(Array.from({ length: 70 }, (_, i) => zstdCompressSync(raw.subarray(i * 4_096, (i + 1) * 4_096)))),
      raw.subarray(0, 70 * 4_096),
    ],
    ["a frame of one repeated byte", zstdCompressSync(Buffer.alloc(200_000, 7)), Buffer.alloc(200_000, 7)],
  ];
  test.each(
    good.flatMap(([what, data, bytes]) => [1, 7, 4096, mebibyte].map((chunk) => [what, chunk, data, bytes] as const)),
  )("%s, in chunks of %d bytes", async (_what, chunk, data, bytes) => {
    const cut = chunk === 1 && data.byteLength > 100_000 ? 13 : chunk;
    expect((await decoded(data, bytes.byteLength, cut)).equals(bytes)).toBe(true);
  });

  test.each([1, 3, 10, 19])("frames of level %d without their size", async (level) => {
    const data = await streamed(raw, { [constants.ZSTD_c_compressionLevel]: level });
    expect((await decoded(data, raw.byteLength, 10_000)).equals(raw)).toBe(true);
  });

  const flipped = Buffer.from(ofRaw);
  flipped.writeUInt8(flipped.readUInt8(ofRaw.byteLength - 1) ^ 1, ofRaw.byteLength - 1);
  const bad: [string, Buffer][] = [
    ["junk", Buffer.from("this is no compressed blob")],
    ["one byte of junk", Buffer.from("x")],
    ["the plain bytes", raw],
    ["gzip", Buffer.from("1f8b0800000000000003", "hex")],
    ["a frame without its last byte", ofRaw.subarray(0, -1)],
    ["a frame without its checksum", ofRaw.subarray(0, -4)],
    ["half a frame", ofRaw.subarray(0, ofRaw.byteLength / 2)],
    ["three bytes of a frame", ofRaw.subarray(0, 3)],
    ["a wrong checksum", flipped],
    ["garbage after the frame", Buffer.concat([ofRaw, Buffer.from("garbage")])],
    ["a zero after the frame", Buffer.concat([ofRaw, Buffer.alloc(1)])],
    ["half a frame after a whole one", Buffer.concat([ofRaw, empty.subarray(0, 6)])],
    ["half of what is to be skipped", Buffer.concat([ofRaw, skippable(9).subarray(0, 12)])],
    ["the reserved type of a block", Buffer.from("28b52ffd0058070000", "hex")],
    ["the reserved bit of a header", Buffer.from("28b52ffd0858010000", "hex")],
    ["what is to be skipped, without end", Buffer.concat([skippable(mebibyte), ofRaw])],
    ["frames of nothing, without end", Buffer.concat(Array.from({ length: 2_000 }, () => empty))],
    ["frames to be skipped, without end", Buffer.concat(Array.from({ length: 2_000 }, () => skippable(0)))],
    [
      "blocks of nothing, without end",
      Buffer.concat([Buffer.from("28b52ffd0058", "hex"), Buffer.alloc(6_000), Buffer.from("010000", "hex")]),
    ],
  ];
  test.each(bad.flatMap(([what, data]) => [5, mebibyte].map((chunk) => [what, chunk, data] as const)))(
    "%s, in chunks of %d bytes, is refused",
    async (_what, chunk, data) => {
      const cut = chunk === 5 && data.byteLength > 100_000 ? 1_001 : chunk;
      await expect(decoded(data, raw.byteLength, cut)).rejects.toMatchObject({ code: "COMPRESSED_INVALID" });
    },
  );

  test("a window that is too large is refused", async () => {
    const data = await streamed(raw, { [constants.ZSTD_c_windowLog]: 27 });
    await expect(decoded(data, raw.byteLength, mebibyte)).rejects.toMatchObject({ code: "COMPRESSED_INVALID" });
  });

  test("a bomb is refused as soon as it is larger than it says", async () => {
    const bomb = zstdCompressSync(Buffer.alloc(512 * mebibyte));
    let came = 0;
    async function blow() {
      for await (const piece of decompressed(chunksOf(bomb, 1_000), { organization, sizeBytes: mebibyte, signal }))
        came += piece.byteLength;
    }
    await expect(blow()).rejects.toMatchObject({ code: "SIZE_MISMATCH" });
    expect(came).toBeLessThanOrEqual(mebibyte);
  });

  test("what the source throws is thrown", async () => {
    const fault = new RangeError("the client is gone");
    async function* failing() {
      yield ofRaw.subarray(0, 1_000);
      throw fault;
    }
    await expect(collect(decompressed(failing(), { organization, sizeBytes: raw.byteLength, signal }))).rejects.toBe(
      fault,
    );
  });
});

describe("what is compressed", () => {
  /** Twelve streams each. */
  const ofMany = (i: number) => `organization ${i % 4}`;

  test("an organization whose clients are slow leaves room for the others", async () => {
    const controller = new AbortController();
    const slow = Array.from({ length: 20 }, () =>
      compressed(chunksOf(randomBytes(3 * mebibyte), 65_536), {
        ...{ organization: "slow", sizeBytes: 3 * mebibyte, signal: controller.signal },
      }),
    );
    const pulled = slow.map((stream) => stream.next().then(() => "came"));
    await Promise.all(pulled.slice(0, 12));
    expect(await Promise.race([pulled[12], sleep(50, "waits")])).toBe("waits");
    const others = Array.from({ length: 30 }, () =>
      collect(compressed([raw], { organization: "quick", sizeBytes: raw.byteLength, signal })),
    );
    for (const data of await Promise.all(others)) expect(zstdDecompressSync(data).equals(raw)).toBe(true);
    controller.abort(new RangeError("given up"));
    await expect(pulled[12]).rejects.toThrow("given up");
    await Promise.allSettled(pulled);
  });

  test.each([0, 1, 1_000, 5 * mebibyte])("%d bytes", async (size) => {
    const bytes = randomBytes(size);
    const data = await collect(compressed(chunksOf(bytes, 65_536), { organization, sizeBytes: size, signal }));
    expect(zstdDecompressSync(data).equals(bytes)).toBe(true);
  });

  test("what the source throws ends it before its end", async () => {
    const fault = new RangeError("the store is gone");
    async function* failing() {
      yield raw;
      throw fault;
    }
    await expect(collect(compressed(failing(), { organization, sizeBytes: raw.byteLength, signal }))).rejects.toBe(
      fault,
    );
  });

  test("more at once than are worked on at a time, though nobody takes what the first give", async () => {
    const controllers = Array.from({ length: 48 }, () => new AbortController());
    const idle = controllers.map((controller, i) =>
      compressed(chunksOf(randomBytes(3 * mebibyte), 65_536), {
        ...{ organization: ofMany(i), sizeBytes: 3 * mebibyte, signal: controller.signal },
      }),
    );
    await Promise.all(idle.map((stream) => stream.next()));
    const waiting = collect(compressed([raw], { organization, sizeBytes: raw.byteLength, signal }));
    expect(await Promise.race([waiting, sleep(100, "waits")])).toBe("waits");
    for (const controller of controllers) controller.abort(new RangeError("given up"));
    expect(sha256(zstdDecompressSync(await waiting))).toBe(sha256(raw));
    await expect(idle[0]?.next()).rejects.toThrow("given up");
  });

  test("a stream that waits in line leaves it when it is given up", async () => {
    const first = Array.from({ length: 48 }, (_, i) =>
      compressed(chunksOf(raw, 9_999), { organization: ofMany(i), sizeBytes: raw.byteLength, signal }),
    );
    await Promise.all(first.map((stream) => stream.next()));
    const given = AbortSignal.timeout(50);
    await expect(
      collect(compressed([raw], { organization, sizeBytes: raw.byteLength, signal: given })),
    ).rejects.toThrow("timeout");
    await Promise.all(first.map((stream) => stream.return()));
    expect(
      (await collect(compressed([raw], { organization, sizeBytes: raw.byteLength, signal }))).byteLength,
    ).toBeGreaterThan(0);
  });
});

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, void> {
  for (let start = 0; start < bytes.byteLength; start += size) yield bytes.subarray(start, start + size);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
