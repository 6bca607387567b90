import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { backendOf, blobOf, type Gateway, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import { ask1, ask2, blobUrl, type Client, headOf, rawConnection, reasonOf } from "./http-client.ts";
import type { Store } from "./stores.ts";
import { keyOf, mebibyte } from "./writing.ts";

const clients: [string, Client][] = [
  ["HTTP/1.1", ask1],
  ["HTTP/2", ask2],
];

/** GET and HEAD through a gateway, whatever the store behind it. */
export function httpReadSuite(startStore: () => Promise<Store>): void {
  const blob = randomBlob(3 * mebibyte + 5);
  const size = blob.sizeBytes;
  const tag = `"${blob.digest}"`;
  const base64 = createHash("sha256").update(blob.bytes).digest("base64");
  let store: Store;
  let gateway: Gateway;
  let headers: { authorization: string };
  let url: string;
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret);
    headers = { authorization: `Bearer ${await gateway.casToken({ role: "downloader" })}` };
    url = blobUrl(gateway, blob);
    await put(blob);
  });
  afterAll(async () => {
    await gateway.close();
    await store.stop();
  });

  async function put(stored: TestBlob, claims = {}): Promise<void> {
    const authorization = `Bearer ${await gateway.casToken(claims)}`;
    const answer = await ask1(blobUrl(gateway, stored), {
      method: "PUT",
      headers: { authorization },
      body: stored.bytes,
    });
    expect(answer.status).toBe(201);
  }

  describe.each(clients)("over %s", (_version, ask) => {
    test("GET gives the blob with all that a client may want to know of it, HEAD the same without it", async () => {
      const got = await ask(url, { headers });
      expect(got.status).toBe(200);
      expect(got.body.equals(blob.bytes)).toBe(true);
      const shown = {
        etag: tag,
        "accept-ranges": "bytes",
        "content-length": String(size),
        "content-type": "application/octet-stream",
        "repr-digest": `sha-256=:${base64}:`,
        "content-disposition": `attachment; filename=${blob.hex}`,
        "content-security-policy": "sandbox; default-src 'none'",
        "x-content-type-options": "nosniff",
        "cache-control": "private, max-age=31536000, immutable",
        vary: "authorization",
      };
      expect(got.headers).toMatchObject({ ...shown, "content-digest": `sha-256=:${base64}:` });
      const head = await ask(url, { method: "HEAD", headers });
      expect([head.status, head.body.byteLength]).toEqual([200, 0]);
      expect(head.headers).toMatchObject(shown);
      expect(head.headers).not.toHaveProperty("content-digest");
    });

    test.each([
      ["bytes=0-0", 0, 1],
      ["bytes=10-19", 10, 10],
      ["BYTES=1048570-2097160", 1_048_570, 1_048_591],
      [`bytes=${size - 1}-`, size - 1, 1],
      ["bytes=5-", 5, size - 5],
      ["bytes=-7", size - 7, 7],
      [`bytes=0-${size - 1}`, 0, size],
      [`bytes=2-${size + 100}`, 2, size - 2],
      [`bytes=-${size + 100}`, 0, size],
      ["bytes= 3-4 ,", 3, 2],
    ])("Range: %s gives that part", async (range, offset, length) => {
      const got = await ask(url, { headers: { ...headers, range } });
      expect(got.status).toBe(206);
      expect(got.headers).toMatchObject({
        "content-range": `bytes ${offset}-${offset + length - 1}/${size}`,
        "content-length": String(length),
        "repr-digest": `sha-256=:${base64}:`,
        etag: tag,
      });
      expect(got.headers).not.toHaveProperty("content-digest");
      expect(got.body.equals(blob.bytes.subarray(offset, offset + length))).toBe(true);
    });

    test.each([`bytes=${size}-`, `bytes=${size}-${size + 5}`, "bytes=-0", "bytes=99999999999999999999-"])(
      "Range: %s has nothing",
      async (range) => {
        const got = await ask(url, { headers: { ...headers, range } });
        expect([got.status, got.headers["content-range"], reasonOf(got)]).toEqual([
          416,
          `bytes */${size}`,
          "READ_OFFSET_OUT_OF_RANGE",
        ]);
      },
    );

    test.each(["bytes=0-1,5-6", "bytes=abc", "bytes=5-2", "bytes=", "bytes", "lines=0-1", "bytes=0-1,x"])(
      "Range: %s is answered with the whole",
      async (range) => {
        const got = await ask(url, { headers: { ...headers, range } });
        expect([got.status, got.body.equals(blob.bytes)]).toEqual([200, true]);
      },
    );

    test("a blob that is not there is NOT_FOUND, whatever is asked of it", async () => {
      const nowhere = blobUrl(gateway, randomBlob(10));
      for (const more of [{}, { range: "bytes=0-1" }, { "if-none-match": "*" }, { "if-match": "*" }]) {
        const got = await ask(nowhere, { headers: { ...headers, ...more } });
        expect([got.status, reasonOf(got)]).toEqual([404, "BLOB_NOT_FOUND"]);
        expect(got.headers).not.toHaveProperty("etag");
      }
      const head = await ask(nowhere, { method: "HEAD", headers });
      expect([head.status, head.body.byteLength]).toEqual([404, 0]);
    });

    test("the empty blob is always there", async () => {
      const empty = blobUrl(gateway, blobOf(Buffer.alloc(0)));
      const got = await ask(empty, { headers });
      expect([got.status, got.headers["content-length"], got.body.byteLength]).toEqual([200, "0", 0]);
      expect((await ask(empty, { headers: { ...headers, range: "bytes=0-" } })).status).toBe(416);
      expect((await ask(empty, { method: "HEAD", headers })).status).toBe(200);
    });

    test("a small corrupt object is DATA_LOSS before anything is sent", async () => {
      const right = randomBlob(1_000);
      await store.put(keyOf(right), Buffer.alloc(1_000));
      const got = await ask(blobUrl(gateway, right), { headers });
      expect([got.status, reasonOf(got)]).toEqual([500, "BLOB_CORRUPT"]);
      expect(got.headers).not.toHaveProperty("content-disposition");
    });

    test("a large corrupt object breaks off before its end, and the next read finds another backend's", async () => {
      const right = randomBlob(5 * mebibyte);
      const wrong = Buffer.from(right.bytes);
      wrong[wrong.byteLength - 1] = (wrong.at(-1) ?? 0) ^ 1;
      await store.put(keyOf(right), wrong);
      const working = backendOf(store.secret);
      const elsewhere = { ...working, name: "elsewhere", prefix: "elsewhere" };
      await put(right, { backends: [elsewhere] });
      const authorization = `Bearer ${await gateway.casToken({ role: "downloader", backends: [working, elsewhere] })}`;
      await expect(ask(blobUrl(gateway, right), { headers: { authorization } })).rejects.toThrow();
      const got = await ask(blobUrl(gateway, right), { headers: { authorization } });
      expect([got.status, got.body.equals(right.bytes)]).toEqual([200, true]);
    });

    test("a corrupt object of another size breaks off as well", async () => {
      const right = randomBlob(5 * mebibyte);
      await store.put(keyOf(right), right.bytes.subarray(0, 3 * mebibyte));
      await expect(ask(blobUrl(gateway, right), { headers })).rejects.toThrow();
    });
  });

  describe("preconditions", () => {
    const other = `"sha256:${"0".repeat(64)}"`;
    test.each([
      [{ "if-none-match": tag }, 304],
      [{ "if-none-match": `W/${tag}` }, 304],
      [{ "if-none-match": `${other}, ${tag}` }, 304],
      [{ "if-none-match": "*" }, 304],
      [{ "if-none-match": other }, 200],
      [{ "if-none-match": tag, range: "bytes=0-1" }, 304],
      [{ "if-match": tag }, 200],
      [{ "if-match": `${other} , ${tag}` }, 200],
      [{ "if-match": "*" }, 200],
      [{ "if-match": other }, 412],
      [{ "if-match": `W/${tag}` }, 412],
      [{ "if-match": other, "if-none-match": tag }, 412],
      [{ "if-range": tag, range: "bytes=0-1" }, 206],
      [{ "if-range": other, range: "bytes=0-1" }, 200],
      [{ "if-range": `W/${tag}`, range: "bytes=0-1" }, 200],
      [{ "if-range": "Wed, 21 Oct 2015 07:28:00 GMT", range: "bytes=0-1" }, 200],
      [{ "if-modified-since": "Wed, 21 Oct 2065 07:28:00 GMT" }, 200],
    ])("%j: %d", async (conditions, status) => {
      for (const method of ["GET", "HEAD"]) {
        const got = await ask1(url, { method, headers: { ...headers, ...conditions } });
        // A HEAD has no part.
        expect(got.status).toBe(method === "HEAD" && status === 206 ? 200 : status);
        if (status === 412) continue;
        expect(got.headers).toMatchObject({ etag: tag, "cache-control": "private, max-age=31536000, immutable" });
        if (status === 304 || method === "HEAD") expect(got.body.byteLength).toBe(0);
      }
    });
  });

  describe("what is no blob's", () => {
    const at = (path: string, method = "GET") => ask1(`${gateway.url}${path}`, { method, headers });

    test.each([
      "/v1/blobs/",
      "/v1/blobs/sha256:",
      `/v1/blobs/${blob.hex}`,
      `/v1/blobs/sha256:${blob.hex.slice(1)}`,
      `/v1/blobs/sha256:${blob.hex.toUpperCase()}`,
      `/v1/blobs/sha512:${blob.hex}`,
      `/v1/blobs/sha256:${blob.hex}/`,
      `/v1/blobs/sha256:${blob.hex}/x`,
      `/v1/blobs/sha256:${blob.hex}%00`,
      "/v1/blobs/%E0%A4%A",
    ])("%s is told what it ought to be", async (path) => {
      const got = await at(path);
      expect([got.status, reasonOf(got)]).toEqual([400, "DIGEST_INVALID"]);
      expect(got.headers["content-type"]).toBe("application/json");
    });

    test("the colon may be escaped", async () => {
      for (const colon of ["%3A", "%3a"])
        expect((await at(`/v1/blobs/sha256${colon}${blob.hex}`, "HEAD")).status).toBe(200);
    });

    test("other methods are refused, and told which there are", async () => {
      for (const method of ["POST", "DELETE", "PATCH"]) {
        const got = await at(`/v1/blobs/${blob.digest}`, method);
        expect([got.status, got.headers.allow, reasonOf(got)]).toEqual([
          405,
          "GET, HEAD, PUT, OPTIONS",
          "REQUEST_MALFORMED",
        ]);
      }
      const options = await at(`/v1/blobs/${blob.digest}`, "OPTIONS");
      expect([options.status, options.headers.allow]).toEqual([204, "GET, HEAD, PUT, OPTIONS"]);
    });
  });

  describe("a client that", () => {
    test("asks and then takes nothing is let go, and what was open for it is closed", async () => {
      const large = randomBlob(48 * mebibyte);
      await put(large);
      const impatient = await startGateway(store.secret, { idleTimeoutMs: 700 });
      const authorization = `Bearer ${await impatient.casToken({ role: "downloader" })}`;
      const connection = await rawConnection(impatient);
      connection.send(headOf("GET", `/v1/blobs/${large.digest}`, { authorization }));
      await connection.until("\r\n\r\n");
      connection.pause();
      await expect(connection.closedWithin(10_000)).resolves.toBe(true);
      await impatient.close();
    });

    test("goes away in the middle leaves the others in peace", async () => {
      const connection = await rawConnection(gateway);
      connection.send(headOf("GET", `/v1/blobs/${blob.digest}`, headers));
      await connection.until("\r\n\r\n");
      connection.drop();
      expect((await ask1(url, { headers })).body.equals(blob.bytes)).toBe(true);
    });

    test("asks again on the same connection is answered again", async () => {
      const connection = await rawConnection(gateway);
      const one = headOf("GET", `/v1/blobs/${blob.digest}`, { ...headers, range: "bytes=0-3" });
      connection.send(one + one + headOf("GET", "/v1/blobs/x", { ...headers, connection: "close" }));
      const came = await connection.ended();
      expect(came.match(/HTTP\/1\.1 (\d+)/g)).toEqual(["HTTP/1.1 206", "HTTP/1.1 206", "HTTP/1.1 400"]);
    });
  });
}
