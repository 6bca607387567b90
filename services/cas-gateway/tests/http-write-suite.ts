import { createHash } from "node:crypto";
import http2 from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { blobOf, type Gateway, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import { type Answer, ask1, ask2, blobUrl, type Client, headOf, rawConnection, reasonOf } from "./http-client.ts";
import type { Store } from "./stores.ts";

const mebibyte = 1024 * 1024;
const clients: [string, Client][] = [
  ["HTTP/1.1", ask1],
  ["HTTP/2", ask2],
];
/** Of one request to a store, and of several. */
const sizes = [1_000, 20 * mebibyte];

/** PUT through a gateway, whatever the store behind it. */
export function httpWriteSuite(startStore: () => Promise<Store>): void {
  let store: Store;
  let gateway: Gateway;
  let impatient: Gateway;
  let headers: { authorization: string };
  let reading: { authorization: string };
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret);
    impatient = await startGateway(store.secret, { idleTimeoutMs: 700 });
    headers = { authorization: `Bearer ${await gateway.casToken()}` };
    reading = { authorization: `Bearer ${await gateway.casToken({ role: "downloader" })}` };
  });
  afterAll(async () => {
    await gateway.close();
    await impatient.close();
    await store.stop();
  });

  const pathOf = ({ digest }: TestBlob) => `/v1/blobs/${digest}`;
  const put = (ask: Client, blob: TestBlob, more: Record<string, string> = {}, body = blob.bytes) =>
    ask(blobUrl(gateway, blob), { method: "PUT", headers: { ...headers, ...more }, body });
  const refusal = (answer: Answer) => [answer.status, reasonOf(answer)];

  /** Fails unless the act leaves nothing in the store, though perhaps not at once. */
  async function expectNothingLeft(act: () => Promise<unknown>): Promise<void> {
    const before = await store.content();
    await act();
    let after = await store.content();
    for (let tries = 0; tries < 40 && after.length !== before.length; tries++) {
      await sleep(50);
      after = await store.content();
    }
    expect(after).toEqual(before);
  }
  async function expectAbsent(blob: TestBlob): Promise<void> {
    expect((await ask1(blobUrl(gateway, blob), { method: "HEAD", headers: reading })).status).toBe(404);
  }

  describe.each(clients)("over %s", (_version, ask) => {
    test.each(sizes)("%d bytes are stored, and the next time were there already", async (size) => {
      const blob = randomBlob(size);
      const stored = await put(ask, blob);
      expect([stored.status, JSON.parse(stored.body.toString())]).toEqual([
        201,
        { digest: blob.digest, sizeBytes: size },
      ]);
      expect(stored.headers).toMatchObject({ etag: `"${blob.digest}"`, "content-type": "application/json" });
      const got = await ask(blobUrl(gateway, blob), { headers: reading });
      expect(got.body.equals(blob.bytes)).toBe(true);
      const again = await put(ask, blob);
      expect([again.status, JSON.parse(again.body.toString())]).toEqual([
        200,
        { digest: blob.digest, sizeBytes: size },
      ]);
    });

    test.each(sizes)("%d bytes are put only where the preconditions let them", async (size) => {
      const blob = randomBlob(size);
      const other = `"sha256:${"0".repeat(64)}"`;
      for (const condition of ["*", `"${blob.digest}"`])
        expect(refusal(await put(ask, blob, { "if-match": condition }))).toEqual([412, "PRECONDITION_FAILED"]);
      await expectAbsent(blob);
      expect((await put(ask, blob, { "if-none-match": "*" })).status).toBe(201);
      for (const failing of [{ "if-none-match": "*" }, { "if-none-match": `"${blob.digest}"` }, { "if-match": other }])
        expect(refusal(await put(ask, blob, failing))).toEqual([412, "PRECONDITION_FAILED"]);
      for (const met of [{ "if-match": "*" }, { "if-match": `"${blob.digest}"` }, { "if-none-match": other }])
        expect((await put(ask, blob, met)).status).toBe(200);
    });

    test("the empty blob, and an API token", async () => {
      const api = { authorization: `Bearer ${await gateway.apiToken("ci")}` };
      expect((await put(ask, blobOf(Buffer.alloc(0)), api)).status).toBeLessThan(202);
      expect((await put(ask, randomBlob(5), api)).status).toBe(201);
    });

    test.each(sizes)("%d wrong bytes are refused, and nothing of them is left", async (size) => {
      const blob = randomBlob(size);
      await expectNothingLeft(async () => {
        expect(refusal(await put(ask, blob, {}, randomBlob(size).bytes))).toEqual([400, "DIGEST_MISMATCH"]);
      });
      await expectAbsent(blob);
      // The right ones are taken all the same.
      expect((await put(ask, blob)).status).toBe(201);
    });

    test("one with right bytes and one with wrong ones at the same time", async () => {
      const blob = randomBlob(2 * mebibyte);
      const answers = await Promise.all([put(ask, blob), put(ask, blob, {}, randomBlob(2 * mebibyte).bytes)]);
      expect(answers[0]?.status).toBeLessThan(202);
      // Told that it is there, if the right ones were first.
      expect([200, 400]).toContain(answers[1]?.status);
      expect((await ask(blobUrl(gateway, blob), { headers: reading })).body.equals(blob.bytes)).toBe(true);
    });
  });

  describe("is refused by its head, before a byte of the body is asked for:", () => {
    /** What comes where the client waits for leave to send (RFC 9110, section 10.1.1). */
    async function expecting(path: string, asked: Record<string, string | number>): Promise<string> {
      const connection = await rawConnection(gateway);
      connection.send(headOf("PUT", path, { connection: "close", expect: "100-continue", ...asked }));
      return connection.ended();
    }
    const blob = randomBlob(100);
    const length = { "content-length": 100 };

    test("no token, a reader's, one for another blob", async () => {
      const other = await gateway.casToken({ digest: randomBlob(1).digest });
      const refused: [Record<string, string>, string][] = [
        [{}, "401"],
        [reading, "403"],
        [{ authorization: `Bearer ${other}` }, "403"],
      ];
      for (const [who, status] of refused) {
        const came = await expecting(pathOf(blob), { ...length, ...who });
        expect(came.startsWith(`HTTP/1.1 ${status} `)).toBe(true);
        expect(came).not.toContain("100 Continue");
      }
    });

    test("a token in the URL", async () => {
      const came = await expecting(`${pathOf(blob)}?token=${await gateway.casToken({ digest: blob.digest })}`, length);
      expect(came).toMatch(/^HTTP\/1\.1 401 /);
      expect(came).toContain("TOKEN_MISSING");
    });

    test("more bytes than the token lets", async () => {
      const small = await gateway.casToken({ maxBytes: 99 });
      const came = await expecting(pathOf(blob), { ...length, authorization: `Bearer ${small}` });
      expect(came).toMatch(/^HTTP\/1\.1 413 /);
      expect(came).toContain("BLOB_TOO_LARGE");
    });

    test.each([
      ["another digest in Content-Digest", { "content-digest": digestField(Buffer.from("other")) }, "DIGEST_MISMATCH"],
      [
        "another digest in Repr-Digest",
        { "repr-digest": `sha-512=:YWJj:, ${digestField(Buffer.from("other"))}` },
        "DIGEST_MISMATCH",
      ],
      ["half a digest", { "content-digest": "sha-256=:YWJj:" }, "REQUEST_MALFORMED"],
      ["a digest that is no byte sequence", { "content-digest": `sha-256=${"a".repeat(44)}` }, "REQUEST_MALFORMED"],
      ["a part", { "content-range": "bytes 0-99/200" }, "REQUEST_MALFORMED"],
    ])("%s", async (_what, more, reason) => {
      const came = await expecting(pathOf(blob), { ...length, ...headers, ...more });
      expect(came).toMatch(/^HTTP\/1\.1 400 /);
      expect(came).toContain(reason);
    });

    test("a compressed body", async () => {
      expect(await expecting(pathOf(blob), { ...length, ...headers, "content-encoding": "gzip" })).toMatch(
        /^HTTP\/1\.1 415 /,
      );
    });

    test("a body of unknown length", async () => {
      expect(await expecting(pathOf(blob), { ...headers, "transfer-encoding": "chunked" })).toMatch(/^HTTP\/1\.1 411 /);
      expect(await expecting(pathOf(blob), headers)).toMatch(/^HTTP\/1\.1 411 /);
    });

    test("a digest that is none", async () => {
      expect(await expecting("/v1/blobs/sha256:x", { ...length, ...headers })).toMatch(/^HTTP\/1\.1 400 /);
    });

    test("but what may be sent is asked for", async () => {
      const connection = await rawConnection(gateway);
      const wait = { connection: "close", expect: "100-continue" };
      connection.send(headOf("PUT", pathOf(blob), { ...wait, ...length, ...headers }));
      await connection.until("HTTP/1.1 100 Continue\r\n\r\n");
      connection.send(blob.bytes);
      expect(await connection.ended()).toMatch(/HTTP\/1\.1 201 /);
    });
  });

  test("digests that agree, and those of other algorithms, are let by", async () => {
    const blob = randomBlob(100);
    const fields = {
      "content-digest": `sha-512=:YWJj:, ${digestField(blob.bytes)}`,
      "repr-digest": digestField(blob.bytes),
    };
    expect((await put(ask1, blob, fields)).status).toBe(201);
  });

  describe("leaves nothing when", () => {
    test.each(sizes)("the client goes away before it has sent all of %d bytes", async (size) => {
      const blob = randomBlob(size);
      await expectNothingLeft(async () => {
        const connection = await rawConnection(gateway);
        connection.send(headOf("PUT", pathOf(blob), { "content-length": size, ...headers }));
        connection.send(blob.bytes.subarray(0, size - 1));
        await sleep(300);
        connection.drop();
      });
      await expectAbsent(blob);
    });

    test("an HTTP/2 stream ends early or is reset", async () => {
      const blob = randomBlob(9 * mebibyte);
      await expectNothingLeft(async () => {
        for (const end of ["end", "reset"] as const) {
          const session = http2.connect(gateway.url);
          const length = { "content-length": blob.sizeBytes };
          const stream = session.request({ ":method": "PUT", ":path": pathOf(blob), ...length, ...headers });
          stream.on("error", () => undefined);
          stream.write(blob.bytes.subarray(0, 8 * mebibyte + 1));
          await sleep(300);
          if (end === "end") stream.end();
          else stream.close(http2.constants.NGHTTP2_CANCEL);
          await new Promise((resolve) => stream.once("close", resolve));
          session.destroy();
        }
      });
      await expectAbsent(blob);
    });

    test("the client falls silent, who is told so", async () => {
      const blob = randomBlob(1_000);
      await expectNothingLeft(async () => {
        const connection = await rawConnection(impatient);
        const authorization = `Bearer ${await impatient.casToken()}`;
        connection.send(headOf("PUT", pathOf(blob), { "content-length": 1_000, authorization }));
        connection.send(blob.bytes.subarray(0, 500));
        const came = await connection.ended();
        expect(came).toMatch(/^HTTP\/1\.1 408 /);
        expect(came).toContain("DEADLINE_EXCEEDED");
      });
    });

    test.each([false, true])("the client drips, who is told so; the blob is there already: %p", async (isThere) => {
      const strict = await startGateway(store.secret, { idleTimeoutMs: 700, leastBytesPerSecond: 100 });
      const blob = randomBlob(1_000);
      const path = pathOf(blob);
      if (isThere) expect((await put(ask1, blob)).status).toBe(201);
      await expectNothingLeft(async () => {
        const connection = await rawConnection(strict);
        const authorization = `Bearer ${await strict.casToken()}`;
        connection.send(headOf("PUT", path, { "content-length": blob.sizeBytes, authorization }));
        let at = 0;
        const drip = setInterval(() => connection.send(blob.bytes.subarray(at, ++at)), 100);
        const began = performance.now();
        const came = await connection.ended().finally(() => clearInterval(drip));
        expect(came).toMatch(/^HTTP\/1\.1 408 /);
        expect(came).toContain("too slowly");
        expect(performance.now() - began).toBeLessThan(3_000);
      });
      await strict.close();
    });
  });

  test.each(sizes)(
    "%d bytes that are there already need not be sent by a client that waits to be asked",
    async (size) => {
      const blob = randomBlob(size);
      expect((await put(ask1, blob)).status).toBe(201);
      const connection = await rawConnection(gateway);
      const wait = { connection: "close", expect: "100-continue" };
      connection.send(headOf("PUT", pathOf(blob), { ...wait, "content-length": size, ...headers }));
      expect(await connection.ended()).toMatch(/^HTTP\/1\.1 200 /);
    },
  );

  test.each(sizes)(
    "%d bytes that are there already are taken from one that does not, whose connection lives on",
    async (size) => {
      const blob = randomBlob(size);
      expect((await put(ask1, blob)).status).toBe(201);
      const connection = await rawConnection(gateway);
      connection.send(headOf("PUT", pathOf(blob), { "content-length": size, ...headers }));
      connection.send(blob.bytes.subarray(0, size / 2));
      await sleep(200);
      expect(connection.received()).toBe("");
      connection.send(blob.bytes.subarray(size / 2));
      await connection.until("HTTP/1.1 200 ");
      connection.send(headOf("HEAD", pathOf(blob), { ...reading, connection: "close" }));
      expect((await connection.ended()).match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 200"]);
    },
  );
}

function digestField(bytes: Buffer): string {
  return `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`;
}
