import { setTimeout as sleep } from "node:timers/promises";
import { describeWith } from "@attestry/dev-env";
import { DomainError } from "@attestry/service-kit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { S3Backend, type S3Options } from "../src/backends/s3.ts";
import { concurrently } from "../src/blobs/concurrently.ts";
import { backendContract } from "./backend-contract.ts";
import { chunksOf, randomBlob } from "./blobs.ts";
import { type Fate, type FaultyStore, firstOf, startFaultyStore } from "./faulty-store.ts";
import { startBucket } from "./s3-bucket.ts";

describeWith(["minio"], "the s3 backend", () => {
  backendContract(startBucket);

  const { signal } = new AbortController();
  const blob = randomBlob(100);
  const write = (backend: S3Backend) => backend.write("blobs/x", blob, chunksOf(blob.bytes, 10), { signal });

  test("tells an absent bucket and refused credentials from an absent blob", async () => {
    const { options } = await startBucket();
    const faults: [Partial<S3Options>, string][] = [
      [{ bucket: "no-such-bucket" }, "NoSuchBucket"],
      [{ accessKey: "nobody" }, "InvalidAccessKeyId"],
      [{ secretKey: "wrong" }, "SignatureDoesNotMatch"],
    ];
    for (const [change, fault] of faults) {
      const backend = new S3Backend({ ...options, ...change });
      const message = expect.stringMatching(`^the object store answered ${fault}: (correct|give) `);
      const refusal = { code: "BACKEND_MISCONFIGURED", message, retryAfterMs: undefined };
      await expect(write(backend)).rejects.toMatchObject(refusal);
      await expect(backend.read("blobs/x", { offset: 0, length: undefined }, signal)).rejects.toMatchObject(refusal);
      await expect(backend.describe("blobs/x", signal)).rejects.toMatchObject({ code: "BACKEND_MISCONFIGURED" });
      backend.close();
    }
  });

  test("an unreachable store is BACKEND_UNAVAILABLE", async () => {
    const { options } = await startBucket();
    const backend = new S3Backend({ ...options, endpoint: new URL("http://127.0.0.1:1") });
    await expect(write(backend)).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      message: "the object store answered ECONNREFUSED",
    });
  });

  test("closing it breaks off nothing that is under way", async () => {
    const bucket = await startBucket();
    const backend = bucket.backend({ prefix: "closed/" });
    const blob = randomBlob(20_000_000);
    async function* closing() {
      yield blob.bytes.subarray(0, 17_000_000);
      backend.close();
      await sleep(200);
      yield blob.bytes.subarray(17_000_000);
    }
    await backend.write("blobs/x", blob, closing(), { signal });
    const found = await backend.read("blobs/x", { offset: 0, length: undefined }, signal);
    let received = 0;
    for await (const chunk of found?.chunks ?? []) received += chunk.byteLength;
    expect(received).toBe(20_000_000);
  });

  describe("a store that falters", () => {
    let bucket: Awaited<ReturnType<typeof startBucket>>;
    let faulty: FaultyStore;
    let backend: S3Backend;
    beforeAll(async () => {
      bucket = await startBucket();
      faulty = await startFaultyStore(bucket.options.endpoint.href);
    });
    // Each with a circuit of its own.
    beforeEach(() => {
      faulty.fate = () => "pass";
      backend = bucket.backend({ endpoint: faulty.endpoint, prefix: "acme/", requestTimeoutMs: 1_000 });
    });
    afterAll(async () => {
      await faulty.close();
      await bucket.stop();
    });

    const slowDown: Fate = { status: 503, body: "<Error><Code>SlowDown</Code><Message>slow down</Message></Error>" };
    const internal: Fate = {
      status: 200,
      body: "  <Error><Code>InternalError</Code><Message>try again</Message></Error>",
    };
    const small = 1_000;
    const large = 20_000_000;
    const once: [string, number, RegExp, Fate][] = [
      ["a PUT is told to slow down", small, /^PUT/, slowDown],
      ["a PUT is cut off", small, /^PUT/, "reset"],
      ["a part is told to slow down", large, /partNumber=2/, slowDown],
      ["a part is cut off", large, /partNumber=2/, "reset"],
      ["the beginning of an upload is cut off", large, /^POST .*uploads/, "reset"],
      ["the completion answers 200 with an error", large, /^POST .*uploadId/, internal],
    ];
    test.each(once)("once, when %s: the blob is stored all the same", async (_what, size, pattern, fate) => {
      const blob = randomBlob(size);
      faulty.fate = firstOf(1, pattern, fate);
      await backend.write(`blobs/${blob.hex}`, blob, chunksOf(blob.bytes, 1_000_000), { signal });
      expect(await backend.describe(`blobs/${blob.hex}`, signal)).toMatchObject({ sizeBytes: size });
    });

    const always: [string, number, RegExp, Fate][] = [
      ...once,
      ["a PUT is not answered", small, /^PUT/, "hang"],
      ["a part is not answered", large, /partNumber=2/, "hang"],
    ];
    test.each(always)(
      "always, when %s: BACKEND_UNAVAILABLE, and nothing is left",
      async (_what, size, pattern, fate) => {
        const blob = randomBlob(size);
        const before = await bucket.leftovers("acme/");
        faulty.fate = firstOf(Number.POSITIVE_INFINITY, pattern, fate);
        const writing = backend.write(`blobs/${blob.hex}`, blob, chunksOf(blob.bytes, 1_000_000), { signal });
        await expect(writing).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", retryAfterMs: expect.any(Number) });
        expect(await bucket.leftovers("acme/")).toEqual(before);
      },
    );

    test.each(["truncate", "reset", "hang", slowDown] as const)(
      "a read that meets %j is BACKEND_UNAVAILABLE, never an end",
      async (fate) => {
        const blob = randomBlob(2_000_000);
        faulty.fate = () => "pass";
        await backend.write("blobs/read", blob, chunksOf(blob.bytes, 1_000_000), { signal });
        faulty.fate = firstOf(Number.POSITIVE_INFINITY, /^GET/, fate);
        async function readAll() {
          const opened = await backend.read("blobs/read", { offset: 0, length: undefined }, signal);
          for await (const _chunk of opened?.chunks ?? []);
        }
        await expect(readAll()).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE" });
      },
    );

    test("many refusals use up no connection", async () => {
      // With answers between them, or the circuit opens; more than there are connections.
      let asked = 0;
      faulty.fate = () => (asked++ % 2 === 0 ? slowDown : "pass");
      const asking = Array.from({ length: 300 }, (_, i) => i);
      const answers = await concurrently(asking, 6, () =>
        backend.describe("blobs/none", signal).catch((error: unknown) => error),
      );
      expect(asked).toBeGreaterThan(550);
      expect(answers.filter((answer) => answer instanceof DomainError).length).toBeLessThan(50);
      faulty.fate = () => "pass";
      expect(await backend.describe("blobs/none", signal)).toBeUndefined();
    }, 30_000);
  });
});
