import net from "node:net";
import { ByteStream } from "@attestry/api/bytestream";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@attestry/api/health";
import { ServerReflection, ServerReflectionV1Alpha } from "@attestry/api/reflection";
import { WorkflowService } from "@attestry/api/run";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type RunningServer, reasonOf } from "../src/index.ts";
import { aborted, adminToken, fakeModule, serveModule } from "./fake-module.ts";

const headers = { authorization: `Bearer ${adminToken}` };
let server: RunningServer;
let notReady = "";

beforeAll(async () => {
  const module = fakeModule(
    {
      get: ({ name }) => ({ workflow: { name } }),
      async findOrCreate(_, context) {
        await aborted(context);
        throw new Error("aborted");
      },
      async *read({ resourceName }) {
        for (let i = 0; i < 3; i++) yield { data: Buffer.from(`${resourceName}${i}`) };
      },
      async write(requests) {
        let committedSize = 0n;
        for await (const { data } of requests) committedSize += BigInt(data.length);
        return { committedSize };
      },
    },
    () => (notReady === "" ? Promise.resolve() : Promise.reject(new Error(notReady))),
  );
  server = await serveModule(module);
});
afterAll(() => server.close());

const transports: [string, () => Transport][] = [
  ["Connect over HTTP/1.1", () => createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" })],
  ["Connect over HTTP/2", () => createConnectTransport({ baseUrl: server.url, httpVersion: "2" })],
  ["gRPC", () => createGrpcTransport({ baseUrl: server.url })],
  ["gRPC-Web over HTTP/1.1", () => createGrpcWebTransport({ baseUrl: server.url, httpVersion: "1.1" })],
  ["gRPC-Web over HTTP/2", () => createGrpcWebTransport({ baseUrl: server.url, httpVersion: "2" })],
];

async function refusal(call: Promise<unknown>): Promise<{ code: string | undefined; reason: string | undefined }> {
  const error = await call.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  return { code: error instanceof ConnectError ? Code[error.code] : String(error), reason: reasonOf(error) };
}

describe.each(transports)("%s", (_name, transport) => {
  test("serves unary calls and streams", async () => {
    const workflows = createClient(WorkflowService, transport());
    expect((await workflows.get({ name: "w" }, { headers })).workflow?.name).toBe("w");
    const bytes = createClient(ByteStream, transport());
    const read: string[] = [];
    for await (const { data } of bytes.read({ resourceName: "a" }, { headers }))
      read.push(Buffer.from(data).toString());
    expect(read).toEqual(["a0", "a1", "a2"]);
    async function* twice() {
      yield { data: new Uint8Array(10) };
      yield { data: new Uint8Array(5) };
    }
    expect((await bytes.write(twice(), { headers })).committedSize).toBe(15n);
  });

  test("refuses with a reason: no token, too large, not implemented", async () => {
    const workflows = createClient(WorkflowService, transport());
    const bytes = createClient(ByteStream, transport());
    async function* large() {
      yield { data: new Uint8Array(5 * 1024 * 1024) };
    }
    expect(await refusal(workflows.get({ name: "w" }))).toEqual({ code: "Unauthenticated", reason: "TOKEN_MISSING" });
    const tooLarge = { code: "InvalidArgument", reason: "MESSAGE_TOO_LARGE" };
    expect(await refusal(workflows.get({ name: "w".repeat(2 * 1024 * 1024) }, { headers }))).toEqual(tooLarge);
    expect(await refusal(bytes.write(large(), { headers }))).toEqual(tooLarge);
    expect(await refusal(bytes.queryWriteStatus({}, { headers }))).toEqual({
      code: "Unimplemented",
      reason: "METHOD_UNKNOWN",
    });
    // A connection that is kept alive hears the next call, though the body of the last was left half read.
    expect((await workflows.get({ name: "w" }, { headers })).workflow?.name).toBe("w");
  });

  test("the deadline aborts the handler", async () => {
    const workflows = createClient(WorkflowService, transport());
    const began = Date.now();
    expect((await refusal(workflows.findOrCreate({}, { headers, timeoutMs: 150 }))).code).toBe("DeadlineExceeded");
    expect(Date.now() - began).toBeLessThan(1_500);
  });

  test("a time-out of a day does not end the call at once", async () => {
    const workflows = createClient(WorkflowService, transport());
    const answer = await workflows.get({ name: "w" }, { headers: { ...headers }, timeoutMs: 99_999_999 });
    expect(answer.workflow?.name).toBe("w");
  });
});

async function post(
  path: string,
  type: string,
  body: string | Uint8Array<ArrayBuffer>,
  more: Record<string, string> = {},
) {
  const response = await fetch(server.url + path, {
    method: "POST",
    headers: { ...headers, "content-type": type, ...more },
    body,
  });
  return { status: response.status, text: await response.text() };
}
const getPath = "/attestry.run.v1.WorkflowService/Get";

test.each([
  ["malformed JSON", getPath, "application/json", "{", {}, 400, "REQUEST_MALFORMED"],
  ["malformed protobuf", getPath, "application/proto", Buffer.from([10, 200]), {}, 400, "REQUEST_MALFORMED"],
  ["a bad timeout", getPath, "application/json", "{}", { "connect-timeout-ms": "soon" }, 400, "REQUEST_MALFORMED"],
  ["a wrong content type", getPath, "text/plain", "{}", {}, 415, "REQUEST_MALFORMED"],
  ["an unknown method", "/attestry.run.v1.WorkflowService/Gone", "application/json", "{}", {}, 404, "METHOD_UNKNOWN"],
  ["an unknown service", "/attestry.run.v1.Gone/Get", "application/json", "{}", {}, 404, "METHOD_UNKNOWN"],
] as const)("over HTTP/1.1, %s has a reason", async (_, path, type, body, more, status, reason) => {
  const answer = await post(path, type, body as string, more);
  expect(answer.status).toBe(status);
  expect(answer.text).toContain(reason);
});

test("JSON over HTTP/1.1, health routes, 404", async () => {
  const answer = await post(getPath, "application/json", '{"name":"w"}');
  expect(JSON.parse(answer.text)).toMatchObject({ workflow: { name: "w" } });
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  expect(await (await fetch(`${server.url}/metrics`)).text()).toContain("attestry_calls_total");
  expect((await fetch(`${server.url}/nothing`)).status).toBe(404);
  notReady = "the database is away";
  const response = await fetch(`${server.url}/readyz`);
  notReady = "";
  expect(response.status).toBe(503);
  expect(await response.text()).toContain("the database is away");
});

test("health: Check and Watch", async () => {
  const health = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
  expect((await health.check({})).status).toBe(Status.SERVING);
  expect((await health.check({ service: WorkflowService.typeName })).status).toBe(Status.SERVING);
  expect(await refusal(health.check({ service: "no.Such" }))).toEqual({ code: "NotFound", reason: "SERVICE_UNKNOWN" });
  for await (const { status } of health.watch({ service: "no.Such" })) {
    expect(status).toBe(Status.SERVICE_UNKNOWN);
    break;
  }
  const stop = new AbortController();
  for await (const { status } of health.watch({ service: "" }, { signal: stop.signal })) {
    expect(status).toBe(Status.SERVING);
    break;
  }
  stop.abort();
});

test.each([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionV1Alpha],
] as const)("reflection %s lists services and finds files by any symbol", async (_, service) => {
  const client = createClient(service as typeof ServerReflection, createGrpcTransport({ baseUrl: server.url }));
  const symbols = [
    "attestry.run.v1.WorkflowService",
    "attestry.run.v1.WorkflowService.Get",
    "attestry.run.v1.Workflow",
    "grpc.health.v1.HealthCheckResponse.ServingStatus",
    "no.such.Symbol",
  ];
  async function* ask() {
    yield { messageRequest: { case: "listServices" as const, value: "" } };
    for (const value of symbols) yield { messageRequest: { case: "fileContainingSymbol" as const, value } };
  }
  const cases: (string | undefined)[] = [];
  for await (const answer of client.serverReflectionInfo(ask())) cases.push(answer.messageResponse.case);
  const file = "fileDescriptorResponse";
  expect(cases).toEqual(["listServicesResponse", file, file, file, file, "errorResponse"]);
});

test("the first bytes may come in pieces; other protocols are turned away", async () => {
  async function send(...pieces: (string | Buffer)[]): Promise<string> {
    const socket = net.connect(server.port, "127.0.0.1");
    let got = "";
    socket.on("data", (data) => {
      got += data.toString("latin1");
      if (got.length > 8) socket.end();
    });
    socket.on("error", () => undefined);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    for (const piece of pieces) {
      socket.write(piece);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    await closed;
    return got;
  }
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  expect(await send("P", "OST /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).toContain("200 OK");
  expect((await send("PRI * HT", "TP/2.0\r\n\r\nSM\r\n", "\r\n", settings)).charCodeAt(3)).toBe(4);
  expect(await send(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]))).toContain("400 Bad Request");
  const reset = net.connect(server.port, "127.0.0.1");
  await new Promise((resolve) => reset.once("connect", resolve));
  reset.resetAndDestroy();
});
