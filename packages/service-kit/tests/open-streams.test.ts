import http2 from "node:http2";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { HealthCheckRequestSchema } from "@attestry/api/health";
import { ServerReflectionRequestSchema } from "@attestry/api/reflection";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { createMetrics, type RunningServer, type ServingLimits, serve } from "../src/index.ts";
import { fakeModule, logger } from "./fake-module.ts";
import { prefixed, rawCall, until } from "./raw-call.ts";

// What anyone may open without a token, and may leave open.

const idleMs = 400;
const reflection = { ":path": "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", authorization: "" };
const watch = { ":path": "/grpc.health.v1.Health/Watch", authorization: "" };
const list = requestFor("");
const closers: (() => void)[] = [];
let server: RunningServer;
let probes: number;
let isReady: boolean;

beforeEach(() => {
  [probes, isReady] = [0, true];
});
afterEach(async () => {
  for (const close of closers.splice(0)) close();
  await server.close();
});

async function start(limits: Partial<ServingLimits> = {}): Promise<void> {
  const module = fakeModule(
    {
      async *read() {
        yield { data: new Uint8Array(1) };
        await sleep(60_000, undefined, { ref: false });
      },
    },
    async () => {
      probes++;
      if (!isReady) throw new Error("not yet");
    },
  );
  const listen = { host: "127.0.0.1", port: 0 };
  server = await serve({ modules: [module], listen, logger, metrics: createMetrics(), limits, graceMs: 0 });
}
function session(options: http2.ClientSessionOptions = {}) {
  const opened = http2.connect(server.url, options).on("error", () => undefined);
  opened.setMaxListeners(0);
  closers.push(() => opened.destroy());
  return opened;
}
/** From another address of this machine. */
function elsewhere(localAddress: string) {
  const { hostname: host, port } = new URL(server.url);
  return session({ createConnection: () => net.connect({ host, port: Number(port), localAddress }) });
}
function requestFor(symbol: string): Buffer {
  const messageRequest =
    symbol === ""
      ? { case: "listServices" as const, value: "" }
      : { case: "fileContainingSymbol" as const, value: symbol };
  return prefixed(toBinary(ServerReflectionRequestSchema, create(ServerReflectionRequestSchema, { messageRequest })));
}
/** How many messages these are. */
function messages(bytes: Buffer): number {
  let count = 0;
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt32BE(at + 1)) count++;
  return count;
}

test("reflection answers 100 requests of one stream, and then another stream's", async () => {
  await start();
  const client = session();
  for (const [asked, answered, ending] of [
    [100, 100, ["0", undefined]],
    [101, 100, ["8", "RATE_LIMITED"]],
  ] as const) {
    const { stream, ended } = rawCall(client, "Read", reflection);
    stream.end(Buffer.concat(Array<Buffer>(asked).fill(list)));
    const { bytes, status, reason } = await ended;
    expect([messages(bytes), status, reason]).toEqual([answered, ...ending]);
  }
});

test("reflection takes 32 KiB of requests on one stream", async () => {
  await start();
  const { stream, ended } = rawCall(session(), "Read", reflection);
  stream.write(list);
  for (let i = 0; i < 5; i++) stream.write(requestFor("x".repeat(8_000)));
  const { status, reason } = await ended;
  expect([status, reason]).toEqual(["3", "MESSAGE_TOO_LARGE"]);
});

test("a stream of reflection that falls silent is given up", async () => {
  await start({ callIdleMs: idleMs });
  for (const first of [Buffer.alloc(0), list]) {
    const { stream, ended } = rawCall(session(), "Read", reflection);
    stream.write(first);
    const { status, reason } = await ended;
    expect([status, reason]).toEqual(["4", "DEADLINE_EXCEEDED"]);
  }
});

test("a stream of reflection whose answers nobody takes is given up", async () => {
  await start({ callIdleMs: idleMs });
  const { stream, ended } = rawCall(session({ settings: { initialWindowSize: 0 } }), "Read", reflection);
  for (let i = 0; i < 20; i++) stream.write(list);
  expect((await ended).code).toBe(http2.constants.NGHTTP2_CANCEL);
});

test("an answer over gRPC-Web or Connect that nobody takes is given up", async () => {
  await start({ callIdleMs: idleMs });
  for (const type of ["application/grpc-web", "application/connect+proto"]) {
    const { stream, ended } = rawCall(session({ settings: { initialWindowSize: 0 } }), "Read", {
      "content-type": type,
    });
    stream.end(prefixed(Buffer.alloc(0)));
    expect((await ended).code).toBe(http2.constants.NGHTTP2_CANCEL);
  }
});

test("100 streams of reflection are open at a time, half of them from one address", async () => {
  await start();
  const [client, other] = [session(), elsewhere("127.0.0.2")];
  const open = Array.from({ length: 100 }, (_, i) => rawCall(i % 2 === 0 ? client : other, "Read", reflection));
  for (const { stream } of open) stream.write(list);
  await Promise.all(open.map(({ stream }) => new Promise((resolve) => stream.once("data", resolve))));
  const ask = async (from = client) => {
    const { stream, ended } = rawCall(from, "Read", reflection);
    stream.end(list);
    const { status, reason } = await ended;
    return [status, reason];
  };
  expect(await ask()).toEqual(["8", "STORE_BUSY"]);
  const third = elsewhere("127.0.0.3");
  expect(await ask(third)).toEqual(["8", "STORE_BUSY"]);
  open.at(-1)?.stream.close(http2.constants.NGHTTP2_CANCEL);
  await until(async () => (await ask(third))[0] === "0");
  expect(await ask()).toEqual(["8", "STORE_BUSY"]);
  for (const { stream } of open) stream.close(http2.constants.NGHTTP2_CANCEL);
  await until(async () => (await ask())[0] === "0");
});

test("streams of reflection count as strangers at their address; health does not", async () => {
  await start({ rateOfFailures: 5 });
  const client = session();
  const asked = Array.from({ length: 20 }, async () => {
    const { stream, ended } = rawCall(client, "Read", reflection);
    stream.end(list);
    return (await ended).reason;
  });
  const limited = (await Promise.all(asked)).filter((reason) => reason === "RATE_LIMITED");
  expect(limited.length).toBeGreaterThanOrEqual(12);
  const { stream, ended } = rawCall(client, "Read", { ...watch, ":path": "/grpc.health.v1.Health/Check" });
  stream.end(prefixed(Buffer.alloc(0)));
  expect((await ended).status).toBe("0");
});

test("watches of health share what a probe says, and hear of changes", async () => {
  await start();
  const client = session();
  const heard: Buffer[] = [];
  for (let i = 0; i < 50; i++) {
    const { stream } = rawCall(client, "Read", watch);
    stream.on("data", (bytes: Buffer) => heard.push(bytes));
    stream.end(prefixed(toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema))));
    await sleep(10);
  }
  await sleep(2_000);
  expect(heard.length).toBe(50);
  // Once a second and watch, they would be more than 100.
  expect(probes).toBeLessThan(10);
  isReady = false;
  await until(() => heard.length === 100);
});

test("1,000 watches of health are open at a time, half of them from one address", async () => {
  await start();
  const clients = [session(), elsewhere("127.0.0.2")] as const;
  const open = Array.from({ length: 1_000 }, (_, i) => {
    const { stream } = rawCall(clients[i % 2] as http2.ClientHttp2Session, "Read", watch);
    stream.end(prefixed(Buffer.alloc(0)));
    return new Promise((resolve) => stream.once("data", resolve));
  });
  await Promise.all(open);
  for (const client of [clients[0], elsewhere("127.0.0.3")]) {
    const { stream, ended } = rawCall(client, "Read", watch);
    stream.end(prefixed(Buffer.alloc(0)));
    const { status, reason } = await ended;
    expect([status, reason]).toEqual(["8", "STORE_BUSY"]);
  }
});

const otherProtocols = [
  ["gRPC with gzip", { "grpc-encoding": "gzip" }],
  ["gRPC-Web", { "content-type": "application/grpc-web" }],
  ["Connect", { "content-type": "application/connect+proto" }],
] as const;

test.each(otherProtocols)("the one message of a stream of answers has to come: %s", async (_name, headers) => {
  await start({ callIdleMs: idleMs });
  const { stream, ended } = rawCall(session(), "Read", headers);
  stream.write(prefixed(Buffer.alloc(100), { length: 200 }));
  const { bytes, reason } = await ended;
  // The error of Connect and gRPC-Web is in the body.
  expect(reason ?? bytes.toString("latin1")).toMatch(/DEADLINE_EXCEEDED|deadline_exceeded|grpc-status: 4/);
});

test("the one message of a stream of answers counts while it comes, and no longer", async () => {
  await start({ inFlightBytes: 1024 * 1024 });
  const client = session();
  const gzip = { "grpc-encoding": "gzip" };
  const message = prefixed(gzipSync(Buffer.alloc(0)), { flags: 1 });
  for (let i = 0; i < 3; i++) {
    const { stream } = rawCall(client, "Read", gzip);
    stream.end(message);
    await new Promise((resolve) => stream.once("data", resolve));
  }
  const half = rawCall(client, "Read", gzip);
  half.stream.write(message.subarray(0, 7));
  await sleep(100);
  const refused = rawCall(client, "Read", gzip);
  refused.stream.end(message);
  const { status, reason } = await refused.ended;
  expect([status, reason]).toEqual(["8", "STORE_BUSY"]);
});
