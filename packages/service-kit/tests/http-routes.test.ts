import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  authorize,
  createMetrics,
  DomainError,
  type HttpCall,
  type NodeRequest,
  type NodeResponse,
  type RunningServer,
  requestBody,
  serve,
} from "../src/index.ts";
import { aborted, adminToken, fakeModule, logger } from "./fake-module.ts";
import { type Asker, overHttp1, overHttp2 } from "./http-asker.ts";
import { until } from "./raw-call.ts";

const metrics = createMetrics();
let server: RunningServer;
let reasons: unknown[] = [];

const module = {
  ...fakeModule(),
  http: [
    { prefix: "/v1/things/", handle },
    {
      prefix: "/v1/things/special/",
      handle: async (_request: NodeRequest, response: NodeResponse) => void response.end("special"),
    },
  ],
};

async function handle(request: NodeRequest, answer: NodeResponse, { signal, authenticate }: HttpCall): Promise<void> {
  const response = answer as ServerResponse;
  const [path, query] = (request.url ?? "").split("?");
  const what = path?.split("/")[3];
  switch (what) {
    case "mine": {
      const token = new URLSearchParams(query).get("token") ?? undefined;
      const caller = await authenticate(token);
      authorize("GET /v1/things/", { api: "reader" }, caller);
      response.end(caller.kind);
      return;
    }
    case "missing":
      response.setHeader("etag", '"x"');
      throw new DomainError("BLOB_NOT_FOUND", "no such thing", { metadata: { expected: "one" } });
    case "range":
      response.setHeader("content-range", "bytes */3");
      throw new DomainError("READ_OFFSET_OUT_OF_RANGE", "beyond");
    case "busy":
      throw new DomainError("STORE_BUSY", "busy", { retryAfterMs: 1_500 });
    case "away":
      throw new DomainError("BACKEND_UNAVAILABLE", "away", { retryAfterMs: 500 });
    case "corrupt":
      throw new DomainError("BLOB_CORRUPT", "corrupt");
    case "bug":
      throw new TypeError("secret");
    case "silent":
      return;
    case "half":
      response.writeHead(200, { "content-length": 1_000_000 });
      response.write(Buffer.alloc(100_000));
      await sleep(50);
      throw new DomainError("BLOB_CORRUPT", "corrupt");
    case "held": {
      response.write("a");
      reasons.push(await aborted({ signal } as never));
      throw signal.reason;
    }
    case "late":
      await sleep(300);
      response.end("late");
      return;
    case "put": {
      let size = 0;
      for await (const chunk of requestBody(request)) size += chunk.length;
      response.statusCode = 201;
      response.end(String(size));
      return;
    }
    case "first": {
      for await (const _ of requestBody(request)) throw new DomainError("SIZE_MISMATCH", "after the first bytes");
      return;
    }
    case "wrong":
      response.statusCode = 400;
      response.end();
      return;
    default:
      response.statusCode = 405;
      response.end();
  }
}

beforeAll(async () => {
  server = await serve({ modules: [module], listen: { host: "127.0.0.1", port: 0 }, logger, metrics });
});
afterAll(() => server.close());

async function counted(method: string, code: string): Promise<number> {
  const counter = await metrics.getSingleMetric("attestry_calls_total")?.get();
  return counter?.values.find(({ labels }) => labels.method === method && labels.code === code)?.value ?? 0;
}

describe.each([
  ["HTTP/1.1", overHttp1],
  ["HTTP/2", overHttp2],
] as const)("%s", (_name, client) => {
  let asker: Asker;
  beforeAll(() => {
    asker = client(server.url);
  });
  afterAll(() => asker.close());

  test("the longest prefix takes a request; what no route has is not found", async () => {
    expect((await asker.ask("/v1/things/special/x")).body).toBe("special");
    expect((await asker.ask("/v1/other")).status).toBe(404);
    expect((await asker.ask("/healthz")).status).toBe(200);
    expect(await asker.ask("/v1/things/what")).toMatchObject({ status: 405, whole: true });
  });

  test.each([
    ["missing", 404, "not_found", "BLOB_NOT_FOUND", {}],
    ["range", 416, "out_of_range", "READ_OFFSET_OUT_OF_RANGE", { "content-range": "bytes */3" }],
    ["busy", 429, "resource_exhausted", "STORE_BUSY", { "retry-after": "2" }],
    ["away", 503, "unavailable", "BACKEND_UNAVAILABLE", { "retry-after": "1" }],
    ["corrupt", 500, "data_loss", "BLOB_CORRUPT", {}],
    ["bug", 500, "internal", "INTERNAL", {}],
    ["silent", 500, "internal", "INTERNAL", {}],
    ["mine", 401, "unauthenticated", "TOKEN_MISSING", { "www-authenticate": "Bearer" }],
  ] as const)("%s: an error before the head is JSON with the status %d", async (path, status, code, reason, more) => {
    const answer = await asker.ask(`/v1/things/${path}`, { headers: { "x-request-id": "mine" } });
    expect(answer).toMatchObject({
      status,
      whole: true,
      headers: { "content-type": "application/json", "x-request-id": "mine", ...more },
    });
    const error = JSON.parse(answer.body);
    expect(error).toMatchObject({
      code,
      details: expect.arrayContaining([expect.objectContaining({ debug: expect.objectContaining({ reason }) })]),
    });
    expect(answer.body).not.toContain("secret");
    expect(answer.headers.etag).toBeUndefined();
    const head = await asker.ask(`/v1/things/${path}`, { method: "HEAD" });
    expect([head.status, head.body, head.whole]).toEqual([status, "", true]);
  });

  test("a refusal that the route writes itself counts as the caller's fault, not as the service's", async () => {
    const method = "OPTIONS";
    const before = await counted(`${method} /v1/things/`, "InvalidArgument");
    expect((await asker.ask("/v1/things/wrong", { method })).status).toBe(400);
    expect(await counted(`${method} /v1/things/`, "InvalidArgument")).toBe(before + 1);
    expect(await counted(`${method} /v1/things/`, "Internal")).toBe(0);
  });

  test("the caller is known by the header or by a link's token, which is neither counted nor logged", async () => {
    const headers = { authorization: `Bearer ${adminToken}` };
    expect((await asker.ask("/v1/things/mine", { headers })).body).toBe("api");
    expect((await asker.ask(`/v1/things/mine?token=${adminToken}`)).body).toBe("api");
    expect((await asker.ask("/v1/things/mine?token=x%20y")).status).toBe(401);
    const text = await metrics.metrics();
    expect(text).toContain('method="GET /v1/things/"');
    expect(text).not.toContain("token=");
  });

  test("an error after the head breaks the transfer", async () => {
    const before = await counted("GET /v1/things/", "DataLoss");
    const answer = await asker.ask("/v1/things/half");
    expect([answer.status, answer.whole]).toEqual([200, false]);
    expect(await counted("GET /v1/things/", "DataLoss")).toBe(before + 1);
  });

  test("a caller that goes away aborts the call", async () => {
    const before = await counted("GET /v1/things/", "Canceled");
    reasons = [];
    const stop = new AbortController();
    const gone = asker.ask("/v1/things/held", { signal: stop.signal }).catch(() => undefined);
    await sleep(100);
    stop.abort();
    await gone;
    await until(() => reasons.length === 1);
    await until(async () => (await counted("GET /v1/things/", "Canceled")) === before + 1);
  });

  test("a body is read whole, and one that is refused half read leaves a connection that can be used", async () => {
    // More at once, and Node's own client refuses the answer, for want of the memory that it allows itself.
    const large = Buffer.alloc(7 * 1024 * 1024);
    expect(await asker.ask("/v1/things/put", { method: "PUT", body: large })).toMatchObject({
      status: 201,
      body: String(large.length),
    });
    for (const path of ["missing", "first"]) {
      const answer = await asker.ask(`/v1/things/${path}`, { method: "PUT", body: large });
      expect([answer.status, answer.body]).toEqual([path === "first" ? 400 : 404, expect.stringContaining("debug")]);
      expect((await asker.ask("/v1/things/special/")).body).toBe("special");
    }
  });

  test("who goes on sending after the answer is stopped", async () => {
    async function* forever(): AsyncGenerator<Buffer> {
      while (!done) {
        yield Buffer.alloc(1_000);
        await sleep(20);
      }
    }
    let done = false;
    const other = client(server.url);
    const began = Date.now();
    const answer = await other.ask("/v1/things/missing", { method: "PUT", body: forever() }).catch((error) => error);
    done = true;
    other.close();
    expect(Date.now() - began).toBeLessThan(3_000);
    expect(answer).toMatchObject({ status: 404 });
  });

  test("a body that breaks off does not look whole", async () => {
    const before = await counted("PUT /v1/things/", "Canceled");
    const stop = new AbortController();
    async function* half(): AsyncGenerator<Buffer> {
      yield Buffer.alloc(1_000);
      await sleep(100);
      stop.abort();
      await sleep(200);
    }
    await client(server.url)
      .ask("/v1/things/put", { method: "PUT", body: half(), signal: stop.signal })
      .catch(() => undefined);
    await until(async () => (await counted("PUT /v1/things/", "Canceled")) === before + 1);
  });

  test("closing waits for a call, and then ends one that hangs", async () => {
    const own = await serve({
      modules: [module],
      listen: { host: "127.0.0.1", port: 0 },
      logger,
      metrics: createMetrics(),
      graceMs: 700,
    });
    reasons = [];
    const [late, held] = [client(own.url), client(own.url)];
    const answers = [late.ask("/v1/things/late"), held.ask("/v1/things/held").catch(() => undefined)];
    await sleep(100);
    await own.close();
    expect(await answers[0]).toMatchObject({ status: 200, body: "late", whole: true });
    expect(await answers[1]).toMatchObject({ whole: false });
    expect(reasons).toEqual([expect.objectContaining({ message: expect.stringContaining("shutting down") })]);
    late.close();
    held.close();
  });
});

test("a service that two modules on one port would serve is a fault at start", async () => {
  const one = fakeModule();
  await expect(
    serve({ modules: [one, one], listen: { host: "127.0.0.1", port: 0 }, logger, metrics: createMetrics() }),
  ).rejects.toThrow("two modules serve attestry.run.v1.WorkflowService");
});

test("two routes with one prefix are a fault at start", async () => {
  const twice = { ...module, http: [module.http[1], module.http[1]] as typeof module.http };
  await expect(
    serve({ modules: [twice], listen: { host: "127.0.0.1", port: 0 }, logger, metrics: createMetrics() }),
  ).rejects.toThrow("one prefix");
});
