import http from "node:http";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { ByteStream } from "@attestry/api/bytestream";
import { WorkflowService } from "@attestry/api/run";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createMetrics, DomainError, type RunningServer, reasonOf, serve } from "../src/index.ts";
import { createBodyBudget } from "../src/server/body-budget.ts";
import { adminToken, fakeModule, logger } from "./fake-module.ts";

const headers = { authorization: `Bearer ${adminToken}` };
const metrics = createMetrics();
let server: RunningServer;
let left = 0;

beforeAll(async () => {
  const module = fakeModule({
    get: ({ name }) => ({ workflow: { name: String(name.length) } }),
    findOrCreate: ({ name }) => {
      // As messages cut what they quote: within a character, if it must be.
      const cut = name.startsWith("long") ? name : name.slice(0, 80);
      throw new DomainError("NAME_INVALID", `no name: ${cut}`, { metadata: { actual: cut } });
    },
    async *read({ resourceName }) {
      try {
        while (true) {
          yield { data: new Uint8Array(resourceName === "large" ? 1024 * 1024 : 10) };
          await sleep(5);
        }
      } finally {
        left++;
      }
    },
  });
  server = await serve({
    modules: [module],
    listen: { host: "127.0.0.1", port: 0 },
    logger,
    metrics,
    limits: { headersTimeoutMs: 300 },
  });
});
afterAll(() => server.close());

async function counted(method: string, code: string): Promise<number> {
  const counter = await metrics.getSingleMetric("attestry_calls_total")?.get();
  const found = counter?.values.find(({ labels }) => labels.method === method && labels.code === code);
  return found?.value ?? 0;
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + 5_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error("it did not come about");
    await sleep(20);
  }
}

const transports: [string, () => Transport][] = [
  ["Connect over HTTP/1.1", () => createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" })],
  ["gRPC", () => createGrpcTransport({ baseUrl: server.url })],
  ["gRPC-Web over HTTP/2", () => createGrpcWebTransport({ baseUrl: server.url, httpVersion: "2" })],
];

describe.each(transports)("%s", (_name, transport) => {
  test("a call that the gate refuses is counted, and has a request id", async () => {
    const get = "attestry.run.v1.WorkflowService/Get";
    const read = "google.bytestream.ByteStream/Read";
    const before = [await counted(get, "Unauthenticated"), await counted(read, "Unauthenticated")];
    const id = { "x-request-id": "mine" };
    const error = await createClient(WorkflowService, transport())
      .get({}, { headers: id })
      .catch((cause: unknown) => cause);
    expect((error as ConnectError).metadata.get("x-request-id")).toContain("mine");
    const stream = createClient(ByteStream, transport()).read({}, { headers: id })[Symbol.asyncIterator]();
    expect(reasonOf(await stream.next().catch((cause: unknown) => cause))).toBe("TOKEN_MISSING");
    expect([await counted(get, "Unauthenticated"), await counted(read, "Unauthenticated")]).toEqual(
      before.map((count) => count + 1),
    );
  });

  test.each(["small", "large"])(
    "a stream of %s messages that its caller leaves is let go and counted",
    async (size) => {
      const before = await counted("google.bytestream.ByteStream/Read", "Canceled");
      const leftBefore = left;
      const stop = new AbortController();
      const call = async () => {
        let got = 0;
        for await (const _ of createClient(ByteStream, transport()).read(
          { resourceName: size },
          { headers, signal: stop.signal },
        )) {
          // A slow reader: the server waits for room when the call ends.
          if (got++ === 0) await sleep(300);
          stop.abort(new ConnectError("enough", Code.Canceled));
        }
      };
      await expect(call()).rejects.toMatchObject({ code: Code.Canceled });
      await until(async () => (await counted("google.bytestream.ByteStream/Read", "Canceled")) === before + 1);
      await until(() => left === leftBefore + 1);
    },
  );

  test("a compressed message is read, and one that unpacks to too much is refused", async () => {
    const options = { baseUrl: server.url, sendCompression: compressionGzip, compressMinBytes: 0 };
    const compressing = {
      "Connect over HTTP/1.1": () => createConnectTransport({ ...options, httpVersion: "1.1" }),
      gRPC: () => createGrpcTransport(options),
      "gRPC-Web over HTTP/2": () => createGrpcWebTransport({ ...options, httpVersion: "2" }),
    }[_name];
    if (compressing === undefined) throw new Error(_name);
    const client = createClient(WorkflowService, compressing());
    expect((await client.get({ name: "w".repeat(1_000) }, { headers })).workflow?.name).toBe("1000");
    const bomb = await client.get({ name: "w".repeat(8 * 1024 * 1024) }, { headers }).catch((cause: unknown) => cause);
    // Under jest connect-node does not know zlib's errors, which are of another realm, and gives the second.
    expect(["MESSAGE_TOO_LARGE", "REQUEST_MALFORMED"]).toContain(reasonOf(bomb));
  });
});

test("what a compressed body may become counts before it is unpacked", async () => {
  async function* body() {
    yield new Uint8Array(1);
  }
  async function drain(chunks: AsyncIterable<Uint8Array>) {
    for await (const _ of chunks);
  }
  const budget = createBodyBudget(100, { idleMs: 5_000, leastPerSecond: 1 });
  const first = budget.lease();
  await drain(first.count(body(), 60));
  const second = budget.lease();
  expect(await drain(second.count(body(), 60)).then(() => "ok", reasonOf)).toBe("STORE_BUSY");
  first.release();
  second.release();
  await drain(budget.lease().count(body(), 60));
});

test("a compressed call by GET is refused", async () => {
  const message = gzipSync("{}").toString("base64url");
  const query = `?encoding=json&base64=1&compression=gzip&message=${message}`;
  const response = await fetch(`${server.url}/attestry.run.v1.WorkflowService/Get${query}`, { headers });
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining("REQUEST_MALFORMED")]);
});

test.each([
  ["application/grpc-web+proto", Buffer.from([0, 0, 0, 0, 2, 10, 200])],
  ["application/grpc-web+proto", Buffer.from([0, 0, 0, 0, 9, 10, 1])],
  ["application/grpc-web+proto", Buffer.from([])],
  ["application/connect+proto", Buffer.from([0, 0, 0, 0, 2, 10, 200])],
])("%s: a malformed body is refused as such", async (type, body) => {
  const path = type.includes("connect") ? "google.bytestream.ByteStream/Read" : "attestry.run.v1.WorkflowService/Get";
  const response = await fetch(`${server.url}/${path}`, {
    method: "POST",
    headers: { ...headers, "content-type": type },
    body,
  });
  const text = await response.text();
  const details = /"value":"([\w+/]+)"/.exec(text)?.[1] ?? /grpc-status-details-bin: ?([\w+/]+)/.exec(text)?.[1] ?? "";
  expect(Buffer.from(details, "base64").toString("latin1")).toContain("REQUEST_MALFORMED");
});

test("HTTP/1.1: a caller without a token is answered before its promised body comes", async () => {
  const request = http.request(`${server.url}/attestry.run.v1.WorkflowService/Get`, {
    method: "POST",
    headers: { "content-type": "application/proto", "content-length": 40 * 1024 * 1024 },
  });
  request.on("error", () => undefined).flushHeaders();
  const status = await new Promise((resolve) => request.once("response", (answer) => resolve(answer.statusCode)));
  expect(status).toBe(401);
  request.destroy();
});

test("headers that do not end are waited for half as long again at most", async () => {
  const began = Date.now();
  const socket = net.connect(server.port, "127.0.0.1");
  socket.write("GET /healthz HTTP/1.1\r\nhost: a\r\n");
  const drip = setInterval(() => socket.write("x: y\r\n"), 50);
  socket.on("error", () => undefined).resume();
  await new Promise((resolve) => socket.once("close", resolve));
  clearInterval(drip);
  expect(Date.now() - began).toBeLessThan(2_000);
});

describe("a refusal whose message is none that a header could hold", () => {
  const name = `${"a".repeat(79)}\u{1f600}`;
  const protocols: [protocol: string, transport: () => Transport][] = [
    ["gRPC", () => createGrpcTransport({ baseUrl: server.url })],
    ["gRPC-Web", () => createGrpcWebTransport({ baseUrl: server.url, httpVersion: "1.1" })],
    ["Connect", () => createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" })],
  ];
  test.each(protocols)("is told over %s", async (_protocol, transport) => {
    const call = createClient(WorkflowService, transport()).findOrCreate({ name }, { headers, timeoutMs: 10_000 });
    const error = ConnectError.from(await call.catch((thrown: unknown) => thrown));
    expect(reasonOf(error)).toBe("NAME_INVALID");
    expect(error.rawMessage).toBe(`no name: ${"a".repeat(79)}\ufffd`);
  });
  test.each(protocols)("is told over %s, cut where it quotes too much", async (_protocol, transport) => {
    const long = `long${"a".repeat(500_000)}`;
    const call = createClient(WorkflowService, transport()).findOrCreate(
      { name: long },
      { headers, timeoutMs: 10_000 },
    );
    const error = ConnectError.from(await call.catch((thrown: unknown) => thrown));
    expect(reasonOf(error)).toBe("NAME_INVALID");
    expect(error.rawMessage).toHaveLength(2_048);
  });
});
