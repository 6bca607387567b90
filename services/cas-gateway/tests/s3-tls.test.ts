import dns from "node:dns";
import { describeWith, testMinio } from "@attestry/dev-env";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { S3Backend, type S3Options } from "../src/backends/s3.ts";
import { validateBackend } from "../src/blobs/validate-backend.ts";
import { chunksOf, randomBlob } from "./blobs.ts";
import { startTlsMinio, type TlsMinio } from "./tls-minio.ts";

const { signal } = new AbortController();

describeWith(["minio"], "the s3 backend before a store with a private authority", () => {
  let minio: TlsMinio;
  let opened: S3Backend[] = [];
  beforeAll(async () => {
    minio = await startTlsMinio();
  }, 60_000);
  afterAll(() => minio.stop());
  afterEach(() => {
    for (const backend of opened) backend.close();
    opened = [];
  });

  function open(host: string, changes: Partial<S3Options>): S3Backend {
    const { accessKey, secretKey, bucket, port } = minio;
    const backend = new S3Backend({
      ...{ endpoint: new URL(`https://${host}:${port}`), region: "us-east-1", accessKey, secretKey, bucket },
      ...{
        pathStyle: true,
        prefix: "acme/",
        objectLockMode: "COMPLIANCE",
        requestTimeoutMs: 5_000,
        uploadRetentionMs: 3_600_000,
      },
      ...changes,
    });
    opened.push(backend);
    return backend;
  }
  async function roundTrip(backend: S3Backend, size: number): Promise<string> {
    const blob = randomBlob(size);
    const key = `blobs/${blob.hex}`;
    await backend.write(key, blob, chunksOf(blob.bytes, 1_000_000), { signal });
    const found = await backend.read(key, { offset: 0, length: undefined }, signal);
    const chunks: Buffer[] = [];
    for await (const chunk of found?.chunks ?? []) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(blob.bytes)).toBe(true);
    return key;
  }

  describe.each(["localhost", "127.0.0.1", "[::1]"])("C45: at %s", (host) => {
    test("with its authority all requests work, and validating says so", async () => {
      const backend = open(host, { ca: minio.ca });
      expect(await validateBackend(async () => backend, signal)).toBeUndefined();
      for (const size of [1_000, 9_000_000]) await roundTrip(backend, size);
      for await (const { sizeBytes } of backend.list("blobs/", "", signal)) expect(sizeBytes).toBeGreaterThan(0);
      expect(await backend.sweep(new Date(), signal)).toBe(0);
      expect(backend.notes).toEqual([]);
    });

    test.each(["none", "another"])("with %s, validating names the reason and the host", async (which) => {
      const backend = open(host, which === "none" ? {} : { ca: minio.otherCa });
      const name = host.replace(/^\[|\]$/g, "");
      const fault = await validateBackend(async () => backend, signal);
      expect(fault).toMatch(/^write: TLS does not trust the certificate of /);
      expect(fault).toContain(` ${name} (`);
      expect(fault).toMatch(
        /\((SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT_LOCALLY|CERT_SIGNATURE_FAILURE)\): give the/,
      );
      expect(fault).not.toContain(String(minio.port));
      const reading = backend.read("blobs/x", { offset: 0, length: undefined }, signal);
      await expect(reading).rejects.toMatchObject({ code: "BACKEND_MISCONFIGURED", retryAfterMs: undefined });
    });
  });

  test("an authority of one backend is trusted by no other", async () => {
    await roundTrip(open("localhost", { ca: minio.ca }), 10);
    await expect(roundTrip(open("localhost", {}), 10)).rejects.toMatchObject({ code: "BACKEND_MISCONFIGURED" });
  });

  test("a certificate for another name is refused by that name", async () => {
    jest
      .spyOn(dns, "lookup")
      .mockImplementation(((_host: string, options: dns.LookupOptions, done: LookupDone) =>
        answerLoopback(options, done)) as never);
    const fault = await validateBackend(async () => open("store.example.test", { ca: minio.ca }), signal);
    expect(fault).toContain("store.example.test (ERR_TLS_CERT_ALTNAME_INVALID)");
    jest.restoreAllMocks();
  });

  test("an endpoint where nobody speaks TLS is a fault of the settings", async () => {
    const { port } = new URL(testMinio().endpoint);
    const backend = open("localhost", { ca: minio.ca, endpoint: new URL(`https://localhost:${port}`) });
    const fault = await backend.describe("blobs/x", signal).catch((error: unknown) => error);
    expect(fault).toMatchObject({ code: "BACKEND_MISCONFIGURED", message: expect.stringContaining("localhost (") });
    expect(fault).toMatchObject({ message: expect.stringMatching(/\((ERR_SSL_|EPROTO).*port of the endpoint/) });
  });

  test("a host that does not exist is a fault of the settings", async () => {
    jest
      .spyOn(dns, "lookup")
      .mockImplementation(((_host: string, _options: dns.LookupOptions, done: LookupDone) =>
        done(Object.assign(new Error("getaddrinfo"), { code: "ENOTFOUND" }), undefined)) as never);
    const fault = await validateBackend(async () => open("store.example.test", { ca: minio.ca }), signal);
    expect(fault).toBe("write: there is no host store.example.test (ENOTFOUND): correct the endpoint in its secret");
    jest.restoreAllMocks();
  });

  test("a corrupt blob is set aside where its tag comes of a key, not of its bytes", async () => {
    const backend = open("localhost", { ca: minio.ca, sse: { kms: minio.kmsKey }, prefix: "aside/" });
    const blob = randomBlob(1_000);
    const tags: string[] = [];
    for (let i = 0; i < 2; i++) {
      const headers = { "x-amz-server-side-encryption": "aws:kms", ...kmsKeyHeader(minio.kmsKey) };
      const { etag } = await minio.client.putObject(minio.bucket, "aside/blobs/x", Buffer.alloc(1_000), 1_000, headers);
      tags.push(etag);
    }
    // What was read cannot come again under its tag.
    expect(new Set(tags).size).toBe(2);
    expect(await backend.setAside("blobs/x", blob, signal)).toBe(true);
    expect(await backend.describe("blobs/x", signal)).toBeUndefined();
  });

  test("virtual-host style puts the bucket into the host's name", async () => {
    const asked: string[] = [];
    jest.spyOn(dns, "lookup").mockImplementation(((host: string, options: dns.LookupOptions, done: LookupDone) => {
      asked.push(host);
      answerLoopback(options, done);
    }) as never);
    const backend = open("s3.localhost", { ca: minio.ca, pathStyle: false });
    for (const size of [1_000, 9_000_000]) await roundTrip(backend, size);
    expect(await validateBackend(async () => backend, signal)).toBeUndefined();
    jest.restoreAllMocks();
    expect(new Set(asked)).toEqual(new Set([`${minio.bucket}.s3.localhost`]));
  });

  test("what is written is encrypted as the secret says", async () => {
    for (const [sse, expected] of [
      ["AES256", { "x-amz-server-side-encryption": "AES256" }],
      [
        { kms: minio.kmsKey },
        {
          "x-amz-server-side-encryption": "aws:kms",
          "x-amz-server-side-encryption-aws-kms-key-id": expect.stringContaining(minio.kmsKey),
        },
      ],
    ] as const) {
      const prefix = typeof sse === "string" ? "plain/" : "kms/";
      const backend = open("localhost", { ca: minio.ca, sse, prefix });
      for (const size of [1_000, 9_000_000]) await roundTrip(backend, size);
      const names: string[] = [];
      for await (const { name } of minio.client.listObjectsV2(minio.bucket, prefix, true)) names.push(name);
      // A small blob, a reference, and its data.
      expect(names).toHaveLength(3);
      for (const name of names) {
        const { metaData } = await minio.client.statObject(minio.bucket, name);
        expect(metaData).toMatchObject(expected);
      }
    }
  });

  test("an encryption that the store does not have is a fault of the settings", async () => {
    const backend = open("localhost", { ca: minio.ca, sse: { kms: "no-such-key" } });
    const fault = await roundTrip(backend, 1_000).catch((error: unknown) => error);
    expect(fault).toMatchObject({ code: "BACKEND_MISCONFIGURED", message: expect.stringContaining("sse") });
    expect(backend.notes).toEqual([]);
  });
});

function kmsKeyHeader(key: string): Record<string, string> {
  return { "x-amz-server-side-encryption-aws-kms-key-id": key };
}

type LookupDone = (error: Error | null, address: unknown, family?: number) => void;

function answerLoopback({ all }: dns.LookupOptions, done: LookupDone): void {
  if (all === true) done(null, [{ address: "127.0.0.1", family: 4 }]);
  else done(null, "127.0.0.1", 4);
}
