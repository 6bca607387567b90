import type { ClientHttp2Session } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { ReadRequestSchema, ReadResponseSchema, WriteRequestSchema } from "@attestry/api/bytestream";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createMetrics, type RunningServer, serve } from "../src/index.ts";
import { adminToken, fakeModule, logger } from "./fake-module.ts";
import { connect, prefixed, rawCall, until } from "./raw-call.ts";

const metrics = createMetrics();
let server: RunningServer;
let session: ClientHttp2Session;
let ended: string[] = [];

beforeAll(async () => {
  const module = fakeModule({
    get: () => ({}),
    async *read({ resourceName }) {
      yield { data: Buffer.from(resourceName) };
    },
    async write(messages) {
      let committedSize = 0n;
      try {
        for await (const { data } of messages) committedSize += BigInt(data.length);
        ended.push("end");
      } catch (error) {
        ended.push((error as { code: string }).code);
        throw error;
      }
      return { committedSize };
    },
  });
  server = await serve({ modules: [module], listen: { host: "127.0.0.1", port: 0 }, logger, metrics });
  session = connect(server.url);
});
afterAll(async () => {
  session.close();
  await server.close();
});

async function counted(method: string, code: string): Promise<number> {
  const counter = await metrics.getSingleMetric("attestry_calls_total")?.get();
  return counter?.values.find(({ labels }) => labels.method === method && labels.code === code)?.value ?? 0;
}

const readRequest = toBinary(ReadRequestSchema, create(ReadRequestSchema, { resourceName: "blobs/x" }));
const writeRequest = toBinary(WriteRequestSchema, create(WriteRequestSchema, { data: new Uint8Array(1_000) }));
const good = prefixed(writeRequest);

test.each([
  ["Read", "no message", Buffer.alloc(0), "REQUEST_MALFORMED"],
  ["Read", "two messages", Buffer.concat([prefixed(readRequest), prefixed(readRequest)]), "REQUEST_MALFORMED"],
  ["Read", "half a message", prefixed(readRequest).subarray(0, 8), "REQUEST_MALFORMED"],
  ["Read", "a flag of compression", prefixed(readRequest, { flags: 1 }), "REQUEST_MALFORMED"],
  ["Read", "no protobuf", prefixed(Buffer.from([10, 200])), "REQUEST_MALFORMED"],
  ["Read", "5 MiB", prefixed(Buffer.alloc(5 * 1024 * 1024)), "MESSAGE_TOO_LARGE"],
  ["Write", "half a prefix", Buffer.concat([good, Buffer.alloc(3)]), "REQUEST_MALFORMED"],
  ["Write", "half a message", good.subarray(0, good.length - 1), "REQUEST_MALFORMED"],
  ["Write", "a flag of compression", Buffer.concat([good, prefixed(writeRequest, { flags: 1 })]), "REQUEST_MALFORMED"],
  ["Write", "no protobuf", Buffer.concat([good, prefixed(Buffer.from([10, 200]))]), "REQUEST_MALFORMED"],
  [
    "Write",
    "a length of 4 GiB",
    Buffer.concat([good, prefixed(Buffer.alloc(9), { length: 2 ** 32 - 1 })]),
    "MESSAGE_TOO_LARGE",
  ],
] as const)("%s with %s is refused, logged and counted", async (method, _what, body, reason) => {
  const name = `google.bytestream.ByteStream/${method}`;
  const before = await counted(name, "InvalidArgument");
  const call = rawCall(session, method, { "x-request-id": "mine" });
  call.stream.end(body);
  const { status, reason: came, headers } = await call.ended;
  expect([status, came, headers["x-request-id"]]).toEqual(["3", reason, "mine"]);
  expect(await counted(name, "InvalidArgument")).toBe(before + 1);
});

test("a refused length is answered although the caller has not ended, and its stream comes to an end", async () => {
  const call = rawCall(session, "Write");
  call.stream.write(prefixed(Buffer.alloc(10), { length: 5 * 1024 * 1024 }));
  expect((await call.answered)["grpc-status"]).toBe("3");
  expect((await call.ended).reason).toBe("MESSAGE_TOO_LARGE");
});

test("a unary call that cannot be read is counted, and one with a bad time-out", async () => {
  const get = "attestry.run.v1.WorkflowService/Get";
  const before = await counted(get, "InvalidArgument");
  for (const [body, more] of [
    [Buffer.from([10, 200]), {}],
    [Buffer.alloc(0), { "grpc-timeout": "soon" }],
  ] as const) {
    const stream = session.request({
      ":method": "POST",
      ":path": `/${get}`,
      "content-type": "application/grpc",
      authorization: `Bearer ${adminToken}`,
      ...more,
    });
    stream.resume().end(prefixed(body));
    await new Promise((resolve) => stream.once("close", resolve));
  }
  expect(await counted(get, "InvalidArgument")).toBe(before + 2);
});

test("messages come whole from bytes that come one by one, and several from one frame", async () => {
  const call = rawCall(session, "Write");
  for (const byte of prefixed(writeRequest).subarray(0, 40)) {
    call.stream.write(Buffer.from([byte]));
    await sleep(1);
  }
  call.stream.end(Buffer.concat([good.subarray(40), prefixed(Buffer.alloc(0)), good, good]));
  const { status, bytes } = await call.ended;
  expect([status, bytes.subarray(5).toString("hex")]).toEqual(["0", Buffer.from([8, 0xb8, 0x17]).toString("hex")]);
});

test("a message is framed as the protocol says", async () => {
  const call = rawCall(session, "Read");
  call.stream.end(prefixed(readRequest));
  const { status, bytes, headers } = await call.ended;
  expect([status, headers["content-type"], headers["x-request-id"]]).toEqual([
    "0",
    "application/grpc+proto",
    expect.any(String),
  ]);
  expect([bytes[0], bytes.readUInt32BE(1)]).toEqual([0, bytes.length - 5]);
  expect(Buffer.from(fromBinary(ReadResponseSchema, bytes.subarray(5)).data).toString()).toBe("blobs/x");
});

test.each(["gzip", "br"])("messages in the encoding %s are not this path's", async (encoding) => {
  const call = rawCall(session, "Write", { "grpc-encoding": encoding });
  call.stream.end(good);
  const { status, reason } = await call.ended;
  // gzip is known: an uncompressed message may be sent under it.
  expect([status, reason]).toEqual(encoding === "gzip" ? ["0", undefined] : ["12", "METHOD_UNKNOWN"]);
});

test("a caller whose connection breaks does not look finished", async () => {
  ended = [];
  const other = connect(server.url);
  const calls = [rawCall(other, "Write"), rawCall(other, "Write")];
  for (const { stream } of calls) stream.write(good);
  calls[1]?.stream.write(good.subarray(0, 100));
  await sleep(100);
  other.destroy();
  await until(() => ended.length === 2);
  expect(ended).toEqual([Code.Canceled, Code.Canceled]);
});

test("the deadline is answered in mid-stream, by both kinds", async () => {
  const call = rawCall(session, "Write", { "grpc-timeout": "100m" });
  call.stream.write(good);
  expect((await call.ended).status).toBe(String(Code.DeadlineExceeded));
  const silent = rawCall(session, "Read", { "grpc-timeout": "100m" });
  silent.stream.write(Buffer.alloc(3));
  expect((await silent.ended).status).toBe(String(Code.DeadlineExceeded));
});

test("a body that ends with its headers is an empty one", async () => {
  const request = { ":method": "POST", "content-type": "application/grpc", authorization: `Bearer ${adminToken}` };
  for (const [method, status] of [
    ["Write", "0"],
    ["Read", "3"],
  ] as const) {
    const stream = session.request(
      { ...request, ":path": `/google.bytestream.ByteStream/${method}` },
      { endStream: true },
    );
    const came = new Promise((resolve) => {
      for (const event of ["response", "trailers"] as const)
        stream.on(
          event,
          (headers: Record<string, unknown>) => headers["grpc-status"] && resolve(headers["grpc-status"]),
        );
    });
    stream.resume();
    expect(await came).toBe(status);
  }
});

test("without a token nothing of a stream is read", async () => {
  for (const method of ["Read", "Write"] as const) {
    const call = rawCall(session, method, { authorization: "" });
    expect((await call.answered)["grpc-status"]).toBe("16");
    expect((await call.ended).reason).toBe("TOKEN_MISSING");
  }
});
