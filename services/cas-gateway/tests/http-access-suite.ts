import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { type Gateway, randomBlob, startGateway } from "./harness.ts";
import { ask1, ask2, blobUrl, type Client, reasonOf } from "./http-client.ts";
import type { Store } from "./stores.ts";

/** Who may read over HTTP, with a header or a link. */
export function httpAccessSuite(startStore: () => Promise<Store>): void {
  const blob = randomBlob(100_000);
  let store: Store;
  let gateway: Gateway;
  let headers: { authorization: string };
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret);
    headers = { authorization: `Bearer ${await gateway.casToken({ role: "downloader" })}` };
    const authorization = `Bearer ${await gateway.casToken()}`;
    const put = { method: "PUT", headers: { authorization }, body: blob.bytes };
    expect((await ask1(blobUrl(gateway, blob), put)).status).toBe(201);
  });
  afterAll(async () => {
    await gateway.close();
    await store.stop();
  });

  const get = (authorization: string | undefined, more: Record<string, string> = {}, query = "") =>
    ask1(blobUrl(gateway, blob, query), { headers: { ...(authorization && { authorization }), ...more } });
  async function refused(asked: Promise<Awaited<ReturnType<Client>>>): Promise<[number, string | undefined]> {
    const got = await asked;
    return [got.status, reasonOf(got)];
  }

  test("an API token as well as a CAS token, and an instance names one of its backends", async () => {
    expect((await get(`Bearer ${await gateway.apiToken("reader")}`)).status).toBe(200);
    expect((await get(headers.authorization, {}, "?instance=store")).status).toBe(200);
    expect(await refused(get(headers.authorization, {}, "?instance=other"))).toEqual([400, "RESOURCE_NAME_INVALID"]);
    expect(await refused(get(headers.authorization, {}, "?instance=../x"))).toEqual([400, "RESOURCE_NAME_INVALID"]);
  });

  test("nobody without a token that is good for it", async () => {
    const missing = await get(undefined);
    expect([missing.status, reasonOf(missing), missing.headers["www-authenticate"]]).toEqual([
      401,
      "TOKEN_MISSING",
      "Bearer",
    ]);
    expect(await refused(get("Bearer x.y.z"))).toEqual([401, "TOKEN_MALFORMED"]);
    expect(await refused(get(`Bearer ${await expired()}`))).toEqual([401, "TOKEN_EXPIRED"]);
    expect(await refused(get(`Bearer ${await gateway.casToken()}`))).toEqual([403, "ROLE_INSUFFICIENT"]);
    const elsewhere = await gateway.casToken({ role: "downloader", digest: `sha256:${"ab".repeat(32)}` });
    expect(await refused(get(`Bearer ${elsewhere}`))).toEqual([403, "DIGEST_NOT_ALLOWED"]);
  });

  async function expired(): Promise<string> {
    const now = Date.now();
    const clock = jest.spyOn(Date, "now").mockReturnValue(now - 3_600_000);
    const token = gateway.casToken({ role: "downloader", digest: blob.digest });
    clock.mockRestore();
    return token;
  }

  test("whoever has a link, which no cache keeps and whose file name is told", async () => {
    const token = await gateway.casToken({ role: "downloader", digest: blob.digest, fileName: 'Maße "neu".txt' });
    for (const ask of [ask1, ask2]) {
      const got = await ask(blobUrl(gateway, blob, `?token=${token}`));
      expect([got.status, got.body.equals(blob.bytes)]).toEqual([200, true]);
      expect(got.headers).toMatchObject({
        "cache-control": "private, no-store",
        "referrer-policy": "no-referrer",
        "content-disposition": `attachment; filename="Ma?e \\"neu\\".txt"; filename*=UTF-8''Ma%C3%9Fe%20%22neu%22.txt`,
      });
      expect((await ask(blobUrl(gateway, blob, `?token=${token}`), { headers: { range: "bytes=1-2" } })).status).toBe(
        206,
      );
    }
  });

  test("a token in the URL is a link's and no other", async () => {
    const digest = blob.digest;
    const tokens = [
      await gateway.apiToken("admin"),
      await gateway.casToken({ digest }),
      await gateway.casToken({ role: "manager", digest }),
      await gateway.casToken({ role: "downloader" }),
    ];
    for (const token of tokens)
      expect(await refused(get(undefined, {}, `?token=${token}`))).toEqual([403, "ROLE_INSUFFICIENT"]);
    const otherBlob = await gateway.casToken({ role: "downloader", digest: randomBlob(1).digest });
    expect(await refused(get(undefined, {}, `?token=${otherBlob}`))).toEqual([403, "DIGEST_NOT_ALLOWED"]);
    expect(await refused(get(undefined, {}, "?token="))).toEqual([401, "TOKEN_MALFORMED"]);
  });

  test("a browser that opens an expired link is told so in words, another client in JSON", async () => {
    const query = `?token=${await expired()}`;
    const page = await get(undefined, { accept: "text/html,application/xhtml+xml,*/*;q=0.8" }, query);
    expect(page.status).toBe(401);
    expect(page.headers).toMatchObject({ "content-type": "text/html; charset=utf-8", "www-authenticate": "Bearer" });
    expect(page.body.toString()).toContain("<h1>This link has expired</h1>");
    expect(page.body.toString()).not.toContain(query.slice(10, 40));
    expect(await refused(get(undefined, { accept: "*/*" }, query))).toEqual([401, "TOKEN_EXPIRED"]);
  });
}
