import { describeWith } from "@attestry/dev-env";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import type { S3Backend } from "../src/backends/s3.ts";
import { chunksOf, randomBlob, type TestBlob } from "./blobs.ts";
import { keyOf } from "./contract/subject.ts";
import { type Fate, type FaultyStore, firstOf, refusal, startFaultyStore } from "./faulty-store.ts";
import { type Bucket, startBucket } from "./s3-bucket.ts";

const { signal } = new AbortController();
const [small, large] = [1_000, 9_000_000];

describeWith(["minio"], "the s3 backend before a store of its own kind", () => {
  let bucket: Bucket;
  let faulty: FaultyStore;
  let backend: S3Backend;
  beforeAll(async () => {
    bucket = await startBucket();
    faulty = await startFaultyStore(bucket.options.endpoint.href, { credentials: bucket.options });
  });
  afterAll(async () => {
    await faulty.close();
    await bucket.stop();
  });
  beforeEach(() => {
    faulty.fate = () => "pass";
    faulty.seen = [];
    backend = bucket.backend({ endpoint: faulty.endpoint, prefix: "acme/", requestTimeoutMs: 3_000 });
  });

  const write = (blob: TestBlob, to = backend) =>
    to.write(keyOf(blob), blob, chunksOf(blob.bytes, 1_000_000), { signal });
  async function read(blob: TestBlob, from = backend): Promise<Buffer | undefined> {
    const opened = await from.read(keyOf(blob), { offset: 0, length: undefined }, signal);
    const chunks: Buffer[] = [];
    for await (const chunk of opened?.chunks ?? []) chunks.push(chunk);
    return opened && Buffer.concat(chunks);
  }
  const expectStored = async (blob: TestBlob) => expect((await read(blob))?.equals(blob.bytes)).toBe(true);
  const direct = () => bucket.open("acme/");
  /** What of the object at the blob's key is put: the blob itself, or its reference. */
  const puts = (blob: TestBlob) =>
    faulty.seen.filter(({ line }) => line.startsWith("PUT") && line.endsWith(keyOf(blob)));

  describe.each([
    ["400 InvalidArgument", refusal(400, "InvalidArgument")],
    ["501 NotImplemented", refusal(501, "NotImplemented")],
    ["400 BadRequest", refusal(400, "BadRequest")],
    ["400 and no more", { status: 400, body: "" }],
  ])("C39: a store that answers %s to checksum headers", (_what, refused) => {
    const refuse = (_line: string, headers: object): Fate =>
      Object.keys(headers).some((name) => /^x-amz-(checksum-|sdk-checksum-)/.test(name)) ? refused : "pass";

    test.each([small, large])("takes blobs of %d bytes, and is asked only once", async (size) => {
      faulty.fate = refuse;
      expect(backend.notes).toEqual([]);
      for (let i = 0; i < 3; i++) {
        const blob = randomBlob(size);
        await write(blob);
        await expectStored(blob);
      }
      expect(faulty.seen.filter(({ line, headers }) => refuse(line, headers) !== "pass")).toHaveLength(1);
      expect(backend.notes).toEqual([expect.stringContaining("x-amz-checksum-crc32")]);
      // What is sent is proven all the same: signed over its digest, and only put if nothing is there.
      const [last] = faulty.seen.filter(({ line }) => line.startsWith("PUT")).slice(-1);
      expect(last?.headers).toMatchObject({ "x-amz-content-sha256": expect.stringMatching(/^[0-9a-f]{64}$/) });
    });

    test("and resumes there", async () => {
      faulty.fate = refuse;
      const blob = randomBlob(20_000_000);
      const uploadId = crypto.randomUUID();
      async function* failing() {
        yield blob.bytes.subarray(0, 17_000_000);
        throw new Error("broke off");
      }
      const options = (offset: number) => ({ signal, resumable: { uploadId, offset, keepAfter: () => true } });
      await expect(backend.write(keyOf(blob), blob, failing(), options(0))).rejects.toThrow("broke off");
      const offset = await backend.committed(keyOf(blob), blob, uploadId, signal);
      expect(offset).toBeGreaterThan(0);
      await backend.write(keyOf(blob), blob, chunksOf(blob.bytes.subarray(offset), 1_000_000), options(offset));
      await expectStored(blob);
    });
  });

  test.each([
    [501, "NotImplemented"],
    [400, "InvalidArgument"],
  ])("a store that answers %d %s to If-None-Match is asked once, and says so in a note", async (status, code) => {
    faulty.fate = (_line, headers) => ("if-none-match" in headers ? refusal(status, code) : "pass");
    for (const size of [small, small, large]) {
      const blob = randomBlob(size);
      await write(blob);
      await write(blob);
      await expectStored(blob);
    }
    expect(backend.notes).toEqual([expect.stringContaining("If-None-Match")]);
    // Refused with the checksum, then without it.
    expect(faulty.seen.filter(({ headers }) => "if-none-match" in headers)).toHaveLength(2);
  });

  test("what passes or stays whatever the headers are is no refusal of them", async () => {
    for (const [code, told] of [
      ["XMinioAdminBucketQuotaExceeded", "BACKEND_FULL"],
      ["ExpiredToken", "BACKEND_MISCONFIGURED"],
    ] as const) {
      faulty.seen = [];
      faulty.fate = firstOf(1, /^PUT/, refusal(400, code));
      await expect(write(randomBlob(small))).rejects.toMatchObject({ code: told });
      expect(faulty.seen).toHaveLength(1);
    }
  });

  test("a refusal that has nothing to do with the headers is no lesson", async () => {
    faulty.fate = firstOf(4, /^PUT/, refusal(400, "InvalidArgument"));
    await expect(write(randomBlob(small))).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    expect(backend.notes).toEqual([]);
    await write(randomBlob(small));
    expect(faulty.seen.at(-1)?.headers).toMatchObject({ "if-none-match": "*" });
  });

  describe.each([small, large])("C41: the conditional PUT for a blob of %d bytes", (size) => {
    function conditional(...fates: Fate[]): (line: string, headers: object) => Fate {
      return (_line, headers) => ("if-none-match" in headers ? (fates.shift() ?? "pass") : "pass");
    }
    const conflict = refusal(409, "ConditionalRequestConflict");
    const exists = refusal(412, "PreconditionFailed");

    test("409 is tried again", async () => {
      const blob = randomBlob(size);
      faulty.fate = (line, headers) => (line.endsWith(keyOf(blob)) ? conditional409(line, headers) : "pass");
      const conditional409 = conditional(conflict);
      await write(blob);
      await expectStored(blob);
      expect(puts(blob)).toHaveLength(2);
    });

    test("409 and then 412: there is the right blob, which somebody else put", async () => {
      const blob = randomBlob(size);
      await write(blob, direct() as S3Backend);
      faulty.fate = conditional(conflict);
      await write(blob);
      expect(puts(blob)).toHaveLength(2);
      await expectStored(blob);
    });

    test("412, and nothing is there: it is put", async () => {
      const blob = randomBlob(size);
      faulty.fate = conditional(exists);
      await write(blob);
      await expectStored(blob);
    });

    test.each(["other bytes", "fewer bytes"])("412, and %s are there: they give way", async (what) => {
      const blob = randomBlob(size);
      const wrong = what === "other bytes" ? Buffer.alloc(size) : blob.bytes.subarray(0, size - 1);
      await bucket.spoil("acme/", keyOf(blob), wrong);
      await write(blob);
      await expectStored(blob);
    });

    test("409 always: BACKEND_UNAVAILABLE, and nothing is visible", async () => {
      const blob = randomBlob(size);
      faulty.fate = (_line, headers) => ("if-none-match" in headers ? conflict : "pass");
      await expect(write(blob)).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
      expect(await backend.describe(keyOf(blob), signal)).toBeUndefined();
    });
  });

  describe("C43: completing answers 200 with an error", () => {
    const body = '   \n<?xml version="1.0"?><Error><Code>InternalError</Code><Message>again</Message></Error>';

    test("once: it is tried again", async () => {
      const blob = randomBlob(large);
      faulty.fate = firstOf(1, /^POST .*uploadId/, { status: 200, body });
      await write(blob);
      await expectStored(blob);
    });

    test("always: BACKEND_UNAVAILABLE, and the blob is nowhere", async () => {
      const blob = randomBlob(large);
      faulty.fate = firstOf(Number.POSITIVE_INFINITY, /^POST .*uploadId/, { status: 200, body });
      await expect(write(blob)).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
      expect(await backend.describe(keyOf(blob), signal)).toBeUndefined();
      expect(await backend.sizes([{ key: keyOf(blob), sizeBytes: blob.sizeBytes }], signal)).toEqual(new Map());
    });
  });

  test.each([
    ["a PUT", small, /^PUT/],
    ["a part", large, /partNumber=1/],
    ["the completion", large, /^POST .*uploadId/],
    ["the reference", large, /^PUT \/[^/]+\/acme\/blobs/],
    ["the record", large, /^PUT .*uploads/],
  ])("an answer that is lost after the store has done it, of %s: the blob is stored", async (_what, size, pattern) => {
    const blob = randomBlob(size);
    faulty.fate = firstOf(1, pattern, "lose");
    await write(blob);
    await expectStored(blob);
    await backend.delete(keyOf(blob), signal);
    await backend.sweep(new Date(Date.now() + 60_000), signal);
    expect((await bucket.leftovers("acme/")).filter((name) => name.includes(blob.hex))).toEqual([]);
  });

  test("a store that ignores If-Match keeps what is corrupt rather than lose a right write", async () => {
    const blob = randomBlob(small);
    await bucket.spoil("acme/", keyOf(blob), Buffer.alloc(small));
    faulty.fate = (_line, headers) => ("if-match" in headers ? { without: ["if-match"] } : "pass");
    expect(await backend.setAside(keyOf(blob), blob, signal)).toBe(false);
    expect((await read(blob))?.equals(Buffer.alloc(small))).toBe(true);
    expect(backend.notes).toEqual([expect.stringContaining("If-Match")]);
    expect((await bucket.leftovers("acme/")).filter((name) => name.includes("corrupt/"))).toEqual([]);
    await write(blob);
    await expectStored(blob);
  });

  test("a large blob that is corrupt is set aside with its data, for whoever looks into it", async () => {
    const blob = randomBlob(large);
    await write(blob);
    const data = (await bucket.leftovers("acme/data/")).filter((name) => name.includes(blob.hex));
    expect(data).toHaveLength(1);
    await bucket.spoil("", data[0] ?? "", Buffer.alloc(large));
    expect(await backend.setAside(keyOf(blob), blob, signal)).toBe(true);
    expect(await backend.describe(keyOf(blob), signal)).toBeUndefined();
    expect(await read(blob)).toBeUndefined();
    await write(blob);
    await expectStored(blob);
    const left = await bucket.leftovers("acme/");
    expect(left).toContain(data[0]);
    expect(left.filter((name) => name.includes(`corrupt/${blob.hex}`))).toHaveLength(1);
  });

  describe("the circuit", () => {
    const down = refusal(503, "SlowDown");
    const describe_ = () => backend.describe("blobs/none", signal);
    async function open(): Promise<void> {
      faulty.fate = () => down;
      for (let i = 0; i < 4; i++) await expect(describe_()).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
    }

    test("opens when nothing comes of many requests, and closes by one that does", async () => {
      await open();
      faulty.seen = [];
      const refused = { code: "BACKEND_UNAVAILABLE", message: expect.stringContaining("left alone") };
      await expect(describe_()).rejects.toMatchObject({ ...refused, retryAfterMs: expect.any(Number) });
      expect(faulty.seen).toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, 5_100));
      // Half open: of many at once, one tries the store.
      faulty.fate = () => "hang";
      const answers = await Promise.allSettled(Array.from({ length: 20 }, describe_));
      expect(answers.every(({ status }) => status === "rejected")).toBe(true);
      expect(faulty.seen).toHaveLength(1);
      await new Promise((resolve) => setTimeout(resolve, 5_100));
      faulty.fate = () => "pass";
      expect(await describe_()).toBeUndefined();
      expect(await Promise.all(Array.from({ length: 20 }, describe_))).toHaveLength(20);
    }, 30_000);

    test("a probe reaches the store all the same, and closes it", async () => {
      await open();
      faulty.fate = () => "pass";
      await expect(describe_()).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
      const probe = randomBlob(64);
      await backend.write("probes/one", probe, chunksOf(probe.bytes, 64), { signal });
      expect(await describe_()).toBeUndefined();
    });

    test("stays closed for callers that give up, for refusals, and for what is absent", async () => {
      faulty.fate = () => "hang";
      for (let i = 0; i < 30; i++) {
        const asking = backend.describe("blobs/none", AbortSignal.timeout(5));
        await expect(asking).rejects.toMatchObject({ name: "TimeoutError" });
      }
      faulty.fate = () => refusal(403, "AccessDenied");
      for (let i = 0; i < 30; i++)
        await expect(backend.read("blobs/none", { offset: 0, length: undefined }, signal)).rejects.toMatchObject({
          code: "BACKEND_MISCONFIGURED",
        });
      faulty.fate = () => "pass";
      for (let i = 0; i < 30; i++) expect(await describe_()).toBeUndefined();
    });

    test("is the backend's own", async () => {
      await open();
      faulty.fate = () => "pass";
      expect(await bucket.backend({ endpoint: faulty.endpoint }).describe("blobs/none", signal)).toBeUndefined();
    });
  });
});
