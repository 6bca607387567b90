import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterEach, expect, test } from "@jest/globals";
import {
  createMetrics,
  type RunningServer,
  type ServerTls,
  type ServiceModule,
  type ServingLimits,
  serve,
} from "../src/index.ts";
import { TestCertificates } from "./certificates.ts";
import { adminToken, fakeModule, logger } from "./fake-module.ts";
import { prefixed, rawCall } from "./raw-call.ts";

// Each limit of a connection or message that is a setting, reached with a small one.

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(limits: Partial<ServingLimits>, tls?: ServerTls): Promise<RunningServer> {
  const modules = [withoutBounds(fakeModule({ get: ({ name }) => ({ workflow: { name } }) }))];
  const listen = { host: "127.0.0.1", port: 0 };
  const server = await serve({ modules, listen, logger, metrics: createMetrics(), limits, tls });
  closers.push(() => server.close());
  return server;
}

/** The module with methods that say no bound of their own. */
function withoutBounds(module: ServiceModule): ServiceModule {
  return {
    ...module,
    routes(router) {
      const service: typeof router.service = (type, implementation) => router.service(type, implementation);
      module.routes({ ...router, service });
    },
  };
}

function session(url: string): http2.ClientHttp2Session {
  const opened = http2.connect(url).on("error", () => undefined);
  closers.push(() => opened.destroy());
  return opened;
}

const path = "/attestry.run.v1.WorkflowService/Get";
const headers = { "content-type": "application/json", authorization: `Bearer ${adminToken}` };

/** What a message of that many bytes is answered with. */
async function answerTo(server: RunningServer, bytes: number, compress = false): Promise<string> {
  const body = Buffer.from(JSON.stringify({ name: "x".repeat(bytes) }));
  const answer = await fetch(server.url + path, {
    method: "POST",
    headers: { ...headers, ...(compress && { "content-encoding": "gzip" }) },
    body: new Uint8Array(compress ? gzipSync(body) : body),
  });
  return `${answer.status} ${await answer.text()}`;
}

test("HTTP_MAX_MESSAGE_BYTES bounds a message, also when it is unpacked", async () => {
  const server = await start({ maxMessageBytes: 64 * 1024 });
  expect(await answerTo(server, 60_000)).toMatch(/^200/);
  expect(await answerTo(server, 70_000)).toMatch(/MESSAGE_TOO_LARGE/);
  expect(await answerTo(server, 1_000_000, true)).toMatch(/MESSAGE_TOO_LARGE|REQUEST_MALFORMED/);
  const { stream, ended } = rawCall(session(server.url), "Read", { ":path": path });
  stream.end(prefixed(Buffer.alloc(70_000)));
  expect((await ended).reason).toBe("MESSAGE_TOO_LARGE");
});

/** Sends a byte each 50 ms until it is answered. */
async function drip(write: (byte: Buffer) => void, answered: Promise<unknown>): Promise<void> {
  let isAnswered = false;
  void answered.then(() => {
    isAnswered = true;
  });
  while (!isAnswered) {
    write(Buffer.from("x"));
    await sleep(50);
  }
}

test("HTTP_LEAST_RATE ends a message that drips, over plain gRPC", async () => {
  const server = await start({ callIdleMs: 400, leastBytesPerSecond: 1_000 });
  const { stream, ended } = rawCall(session(server.url), "Read", { ":path": path });
  stream.write(Buffer.from([0, 0, 0, 0xff, 0xff]));
  await drip((byte) => stream.destroyed || stream.write(byte), ended);
  expect((await ended).reason).toBe("DEADLINE_EXCEEDED");
}, 15_000);

test("HTTP_LEAST_RATE ends a message that drips, of Connect over HTTP/1.1", async () => {
  const server = await start({ callIdleMs: 400, leastBytesPerSecond: 1_000 });
  const request = http.request(server.url + path, { method: "POST", headers });
  closers.push(() => request.destroy());
  const answered = new Promise<http.IncomingMessage>((resolve, reject) => {
    request.once("response", resolve).once("error", reject);
  });
  request.write('{"name":"');
  await drip((byte) => request.write(byte), answered);
  expect((await answered).statusCode).toBe(504);
}, 15_000);

test("HTTP_LEAST_RATE lets a message through that comes slowly, and in time", async () => {
  const server = await start({ callIdleMs: 500, leastBytesPerSecond: 5 });
  const { stream, ended } = rawCall(session(server.url), "Read", { ":path": path });
  for (const byte of prefixed(Buffer.from([0x0a, 5, ...Buffer.from("build")]))) {
    stream.write(Buffer.of(byte));
    await sleep(100);
  }
  stream.end();
  expect((await ended).status).toBe("0");
}, 15_000);

test("HTTP_FIRST_BYTES_TIMEOUT ends a connection that says nothing", async () => {
  const server = await start({ firstBytesMs: 200 });
  const socket = net.connect(server.port, "127.0.0.1");
  closers.push(() => socket.destroy());
  await new Promise((resolve) => socket.once("close", resolve));
}, 4_000);

test("HTTP_HANDSHAKE_TIMEOUT ends a TLS handshake that goes nowhere", async () => {
  const certificates = await TestCertificates.create();
  closers.push(() => certificates.remove());
  const server = await start({ handshakeMs: 200 }, await certificates.issueFiles("server"));
  const socket = net.connect(server.port, "127.0.0.1");
  closers.push(() => socket.destroy());
  // The beginning of a record with a handshake message, and no more.
  socket.write(Buffer.from([0x16, 0x03, 0x01, 0x00, 0xff]));
  await new Promise((resolve) => socket.once("close", resolve));
}, 8_000);

test.each([
  ["PING", (client: http2.ClientHttp2Session): void => void client.ping(() => undefined)],
  ["SETTINGS", (client: http2.ClientHttp2Session) => client.settings({ enablePush: false })],
] as const)(
  "HTTP_PING_BURST ends a connection that sends more %s frames",
  async (_name, send) => {
    const server = await start({ pingBurst: 20, pingsPerSecond: 1 });
    const client = session(server.url);
    await new Promise((resolve) => client.once("remoteSettings", resolve));
    const ended = new Promise<number>((resolve) => client.once("goaway", resolve));
    const closed = new Promise((resolve) => client.once("close", resolve));
    for (let n = 0; n < 50 && !client.destroyed; n++) {
      send(client);
      // Node's client lets few of them wait for their answers.
      await sleep(2);
    }
    expect(await ended).toBe(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    await closed;
    expect(await answerTo(server, 10)).toMatch(/^200/);
  },
  8_000,
);
