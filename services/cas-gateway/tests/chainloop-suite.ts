import { randomUUID } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { uploadBlob } from "@attestry/cas-client";
import {
  ResourceServiceDescribeRequestSchema,
  ResourceServiceDescribeResponseSchema,
} from "@attestry/chainloop-compat/cas";
import { Keyring } from "@attestry/service-kit";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { ChainloopClient, encodeFrame, framesOf, nameOf, paths, refusalOf } from "./chainloop-client.ts";
import { acme, backendOf, type Gateway, globex, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import type { Store } from "./stores.ts";
import { ClientUpload, keyOf, mebibyte, readAll } from "./writing.ts";

/** The chainloop command line at a gateway, whatever the store behind it. */
export function chainloopSuite(startStore: () => Promise<Store>): void {
  let store: Store;
  let gateway: Gateway;
  let client: ChainloopClient;
  let uploader: string;
  let downloader: string;
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret, { chainloop: true, idleTimeoutMs: 60_000 });
    client = new ChainloopClient(gateway.port);
    uploader = await gateway.casToken();
    downloader = await gateway.casToken({ role: "downloader" });
  });
  afterAll(async () => {
    client.close();
    await gateway.close();
    await store.stop();
  });

  const upload = (blob: TestBlob, fileName?: string, token = uploader) =>
    client.write(token, framesOf(blob.bytes, nameOf(blob, fileName)));
  const download = ({ hex }: TestBlob, token = downloader) => client.read(token, { resourceName: hex });
  async function described({ hex }: { hex: string }, token = downloader) {
    const request = create(ResourceServiceDescribeRequestSchema, { digest: hex });
    const bytes = Buffer.from(toBinary(ResourceServiceDescribeRequestSchema, request));
    const { result } = fromBinary(
      ResourceServiceDescribeResponseSchema,
      await client.ask(token, paths.describe, bytes),
    );
    return { fileName: result?.fileName, digest: result?.digest, size: Number(result?.size) };
  }
  /** That the refusal is for good, readable, and leaves nothing. */
  async function expectRefused(call: () => Promise<unknown>, reason: string, code = status.INVALID_ARGUMENT) {
    const before = await store.content();
    const refusal = await refusalOf(call());
    expect(refusal).toMatchObject({ code, reason });
    expect(refusal.message).toMatch(/^[^\n]{10,500}$/);
    expect(await store.content()).toEqual(before);
    return refusal;
  }
  test.each([0, 1, 22, mebibyte, mebibyte + 1, 8 * mebibyte, 8 * mebibyte + 1, 20_000_000])(
    "%d bytes go in under a name, are described and come back",
    async (size) => {
      const before = (await store.content()).length;
      const blob = randomBlob(size);
      expect(await upload(blob, "ünï 📦.txt")).toBe(size);
      expect(await described(blob)).toEqual({ fileName: "ünï 📦.txt", digest: blob.hex, size });
      expect((await download(blob)).equals(blob.bytes)).toBe(true);
      if (size === 0) return;
      expect((await readAll(gateway.transport, `blobs/${blob.hex}/${size}`, downloader)).equals(blob.bytes)).toBe(true);
      // The blob; and its data, or its name.
      expect((await store.content()).length - before).toBeLessThanOrEqual(2);
    },
  );

  test("a size in the name counts, and a newer client may say where its bytes belong", async () => {
    const blob = randomBlob(3 * mebibyte);
    const named = nameOf(blob, "a", blob.sizeBytes);
    const wrong = nameOf(blob, "a", blob.sizeBytes - 1);
    await expectRefused(() => client.write(uploader, framesOf(blob.bytes, wrong)), "SIZE_MISMATCH");
    const offsets = framesOf(blob.bytes, named).map((frame, i) => ({ ...frame, writeOffset: BigInt(i * mebibyte) }));
    const misplaced = offsets.map((frame, i) => (i === 2 ? { ...frame, writeOffset: 5n } : frame));
    await expectRefused(() => client.write(uploader, misplaced), "WRITE_OFFSET_INVALID");
    expect(await client.write(uploader, offsets)).toBe(blob.sizeBytes);
    expect((await download(blob)).equals(blob.bytes)).toBe(true);
  });

  test("what is there already is answered early, and keeps its name", async () => {
    const blob = randomBlob(20 * mebibyte);
    await upload(blob, "first");
    const before = await store.content();
    const beginning = framesOf(blob.bytes, nameOf(blob, "second")).slice(0, 2);
    expect(await client.write(uploader, beginning, { end: false })).toBe(blob.sizeBytes);
    // One that sends all before it looks for the answer; and others on the same connection meanwhile.
    const [again, other] = [upload(blob, "third"), upload(randomBlob(5))];
    expect([await again, await other]).toEqual([blob.sizeBytes, 5]);
    expect((await described(blob)).fileName).toBe("first");
    expect((await store.content()).filter((name) => name.includes(blob.hex))).toEqual(
      before.filter((name) => name.includes(blob.hex)),
    );
  });

  test("what only looks as if it were there is not answered early, but stored", async () => {
    const blob = randomBlob(4 * mebibyte);
    const spoiled = Buffer.alloc(blob.sizeBytes);
    await store.put(keyOf(blob), spoiled);
    expect(await upload(blob, "right")).toBe(blob.sizeBytes);
    expect((await download(blob)).equals(blob.bytes)).toBe(true);
  });

  test("twelve uploads of one blob at once leave one blob", async () => {
    const blob = randomBlob(12 * mebibyte);
    const before = (await store.content()).length;
    const clients = Array.from({ length: 12 }, () => new ChainloopClient(gateway.port));
    const sizes = await Promise.all(
      clients.map((one) => one.write(uploader, framesOf(blob.bytes, nameOf(blob, "same")))),
    );
    for (const one of clients) one.close();
    expect(sizes).toEqual(sizes.map(() => blob.sizeBytes));
    expect(await described(blob)).toEqual({ fileName: "same", digest: blob.hex, size: blob.sizeBytes });
    expect((await store.content()).length - before).toBe(2);
  }, 60_000);

  test("twenty clients that go on sending after an early answer leave their connection as it is", async () => {
    const blob = randomBlob(16 * mebibyte);
    await upload(blob);
    for (let i = 0; i < 20; i++) expect(await upload(blob)).toBe(blob.sizeBytes);
    const next = randomBlob(10);
    expect(await upload(next)).toBe(10);
  }, 60_000);

  test("only finish_write and the right bytes store anything", async () => {
    for (const size of [22, 3 * mebibyte, 12 * mebibyte]) {
      const blob = randomBlob(size);
      const [name, other] = [nameOf(blob), randomBlob(size)];
      await expectRefused(() => client.write(uploader, framesOf(other.bytes, name)), "DIGEST_MISMATCH");
      const shorter = framesOf(blob.bytes.subarray(1), name);
      await expectRefused(() => client.write(uploader, shorter), "DIGEST_MISMATCH");
      const unfinished = framesOf(blob.bytes, name).slice(0, -1);
      await expectRefused(() => client.write(uploader, unfinished), "WRITE_UNFINISHED");
      const renamed = framesOf(blob.bytes, name).map((frame, i) =>
        i === 1 ? { ...frame, resourceName: nameOf(other) } : frame,
      );
      await expectRefused(() => client.write(uploader, renamed), "RESOURCE_NAME_INVALID");
      expect(await refusalOf(download(blob))).toMatchObject({ code: status.NOT_FOUND, reason: "BLOB_NOT_FOUND" });
    }
  }, 60_000);

  test("an upload that is cancelled leaves nothing", async () => {
    const blob = randomBlob(12 * mebibyte);
    const before = await store.content();
    const sent = framesOf(blob.bytes, nameOf(blob)).slice(0, 11);
    const { call, answer } = client.send(uploader, sent.map(encodeFrame), { end: false });
    await new Promise((resolve) => setTimeout(resolve, 300));
    call.cancel();
    expect(await refusalOf(answer)).toMatchObject({ code: status.CANCELLED });
    const deadline = Date.now() + 10_000;
    while ((await store.content()).length > before.length && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await store.content()).toEqual(before);
  });

  test("what is too large is refused while it flows, and leaves nothing, also where it is there", async () => {
    const token = await gateway.casToken({ maxBytes: 9 * mebibyte });
    const blob = randomBlob(30 * mebibyte);
    const refused = () => expectRefused(() => upload(blob, "large", token), "BLOB_TOO_LARGE");
    expect((await refused()).message).toContain(`at most ${9 * mebibyte} bytes`);
    // What it says of its size is looked at first.
    const named = framesOf(blob.bytes, nameOf(blob, "large", blob.sizeBytes));
    await expectRefused(() => client.write(token, named), "BLOB_TOO_LARGE");
    await upload(blob);
    await refused();
    const within = randomBlob(9 * mebibyte);
    expect(await upload(within, "within", token)).toBe(within.sizeBytes);
  });

  test("names that are none are refused, and say what was expected", async () => {
    const blob = randomBlob(5);
    const frames = (resourceName: string) => framesOf(blob.bytes, resourceName);
    const name = nameOf(blob);
    for (const wrong of [name.slice(0, -4), name.slice(4), "AAAA", "a".repeat(80), `${name}AAAA`]) {
      const { message } = await expectRefused(() => client.write(uploader, frames(wrong)), "RESOURCE_NAME_INVALID");
      expect(message).toMatch(/base64 of a Go gob of CASResource.*expected .*, got /);
    }
    for (const wrong of ["", "uploads/x", blob.hex.toUpperCase(), `${blob.hex}/5`])
      await expectRefused(() => client.read(downloader, { resourceName: wrong }), "RESOURCE_NAME_INVALID");
    for (const hex of ["", `sha256:${blob.hex}`, blob.hex.slice(1)])
      await expectRefused(() => described({ hex }), "DIGEST_INVALID");
  });

  test("a part is read by the bare digest as by the other names", async () => {
    const blob = randomBlob(10_000);
    await upload(blob);
    const part = await client.read(downloader, { resourceName: blob.hex, readOffset: 100n, readLimit: 50n });
    expect(part.equals(blob.bytes.subarray(100, 150))).toBe(true);
    const past = { resourceName: blob.hex, readOffset: 10_001n };
    await expectRefused(() => client.read(downloader, past), "READ_OFFSET_OUT_OF_RANGE", status.OUT_OF_RANGE);
  });

  test("a blob that nobody named has its digest as a name, and bundles are found too", async () => {
    const blob = randomBlob(100);
    await new ClientUpload(blob, uploader).write(gateway.transport);
    expect(await described(blob)).toEqual({ fileName: blob.hex, digest: blob.hex, size: 100 });
    await upload(blob, "later");
    expect((await described(blob)).fileName).toBe(blob.hex);
    const bundle = randomBlob(100);
    await new ClientUpload(bundle, await gateway.casToken({ space: "bundles" })).write(gateway.transport);
    expect(await described(bundle)).toMatchObject({ size: 100 });
    expect((await download(bundle)).equals(bundle.bytes)).toBe(true);
    // Where an uploader would write it, it is not.
    await expectRefused(() => described(bundle, uploader), "BLOB_NOT_FOUND", status.NOT_FOUND);
  });

  test.each([100, 20_000_000])("%d bytes that are uploaded natively have the name in their metadata", async (size) => {
    const blob = randomBlob(size);
    const { bytes, ...announced } = { ...blob, digest: `sha256:${blob.hex}` };
    const send = (fileName: string) =>
      uploadBlob(gateway.transport, { ...announced, token: uploader, fileName, bytes });
    await send("first ünï.txt");
    await send("second");
    expect(await described(blob)).toMatchObject({ fileName: "first ünï.txt" });
  });

  test("an upload that goes on has its name, and so has a compressed one", async () => {
    const blob = randomBlob(20_000_000);
    const metadata = `attestry-name/${Buffer.from("gone on").toString("base64url")}`;
    const here = new ClientUpload(
      blob,
      uploader,
      `uploads/${randomUUID()}/blobs/${blob.hex}/${blob.sizeBytes}/${metadata}`,
    );
    await expect(here.write(gateway.transport, here.messages(0, 17 * mebibyte))).rejects.toThrow();
    const { committed } = await here.status(gateway.transport);
    expect(committed).toBeGreaterThan(0);
    await here.write(gateway.transport, here.messages(committed));
    expect(await described(blob)).toMatchObject({ fileName: "gone on" });

    const small = randomBlob(100);
    const resourceName = `uploads/${randomUUID()}/compressed-blobs/zstd/${small.hex}/100/${metadata}`;
    await client.write(uploader, [{ resourceName, data: zstdCompressSync(small.bytes), finishWrite: true }]);
    expect(await described(small)).toMatchObject({ fileName: "gone on" });
  });

  test("tokens may do what they may natively", async () => {
    const blob = randomBlob(100);
    const denied = (call: () => Promise<unknown>, reason = "ROLE_INSUFFICIENT") =>
      expectRefused(call, reason, status.PERMISSION_DENIED);
    const unknown = (call: () => Promise<unknown>, reason: string) =>
      expectRefused(call, reason, status.UNAUTHENTICATED);
    await denied(() => upload(blob, "a", downloader));
    await upload(blob);
    await denied(() => download(blob, uploader));
    const reader = await gateway.apiToken("reader");
    await denied(() => upload(blob, "a", reader));
    expect((await download(blob, reader)).equals(blob.bytes)).toBe(true);
    expect(await described(blob, reader)).toMatchObject({ size: 100 });
    expect(await upload(blob, "a", await gateway.apiToken("ci"))).toBe(100);
    const other = await gateway.casToken({ digest: randomBlob(1).digest });
    await denied(() => upload(blob, "a", other), "DIGEST_NOT_ALLOWED");
    const reading = await gateway.casToken({ role: "downloader", digest: randomBlob(1).digest });
    await denied(() => download(blob, reading), "DIGEST_NOT_ALLOWED");
    await denied(() => described(blob, reading), "DIGEST_NOT_ALLOWED");
    const { "workflow-run": foreigner } = await Keyring.generate();
    const { token: foreign } = await foreigner.issueCasToken({
      ...{ organizationId: acme.id, organization: acme.name, role: "uploader", space: "blobs" },
      ...{ backends: [backendOf(store.secret)], maxBytes: mebibyte },
    });
    for (const call of [
      () => upload(blob, "a", foreign),
      () => download(blob, foreign),
      () => described(blob, foreign),
    ])
      await unknown(call, "TOKEN_SIGNATURE_INVALID");
    const elsewhere = { organizationId: globex.id, organization: globex.name };
    const theirs = await gateway.casToken({ ...elsewhere, role: "downloader" });
    for (const call of [() => download(blob, theirs), () => described(blob, theirs)])
      await expectRefused(call, "BLOB_NOT_FOUND", status.NOT_FOUND);
  });
}
