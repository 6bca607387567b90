import { createHash } from "node:crypto";
import http2 from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { prefixed, until } from "./raw-call.ts";
import {
  callHeaders,
  flags,
  frame,
  frames,
  goawayIn,
  greeting,
  hasAnswer,
  hasTrailers,
  headerBlock,
  open,
  type RawSocket,
  resets,
  settingsFrame,
} from "./raw-http2.ts";

/** A server in a process of its own: HTTP_HEADERS_TIMEOUT is 1 s, HTTP_IDLE_TIMEOUT 3 s. */
export interface Target {
  port: number;
  token: string;
  /** A unary method whose empty request is answered OK. */
  path: string;
  /** A method that streams messages in. */
  streamPath: string;
  residentMiB(): Promise<number>;
  stop(): Promise<void>;
}

/** What an attack may leave held: buffers of the allocator and code that was compiled, not what was sent. */
const mostLeftMiB = 200;
const mebibyte = 1024 * 1024;
const longest = 60_000;

/** Attacks on the bare socket. After each the server lives, answers others, and holds no more than before. */
export function attackSuite(start: () => Promise<Target>): void {
  let target: Target;
  let before = 0;
  let sockets: RawSocket[] = [];

  beforeAll(async () => {
    target = await start();
    await expectGoodCall();
  }, 120_000);
  afterAll(() => target.stop());
  beforeEach(async () => {
    before = await target.residentMiB();
  });
  afterEach(async () => {
    for (const { socket } of sockets) socket.destroy();
    sockets = [];
    await expectGoodCall();
    await until(async () => (await target.residentMiB()) < before + mostLeftMiB, longest);
  }, 120_000);

  async function connect(options?: { reads: boolean }): Promise<RawSocket> {
    const opened = await open(target.port, options);
    sockets.push(opened);
    return opened;
  }
  /** Over HTTP/2 and HTTP/1.1, on new connections. Generous in time: what fails is one that hangs. */
  async function expectGoodCall(): Promise<void> {
    const session = http2.connect(`http://127.0.0.1:${target.port}`).on("error", () => undefined);
    const stream = session.request(callHeaders(target.path, target.token)).on("error", () => undefined);
    stream.resume().end(prefixed(Buffer.alloc(0)));
    const status = await Promise.race([
      new Promise((resolve) => stream.once("trailers", (trailers) => resolve(trailers["grpc-status"]))),
      new Promise((resolve) => stream.once("close", () => resolve(`closed ${stream.rstCode}`))),
      sleep(30_000, "late", { ref: false }),
    ]);
    session.destroy();
    expect(status).toBe("0");
    const health = await fetch(`http://127.0.0.1:${target.port}/healthz`, { signal: AbortSignal.timeout(30_000) });
    expect(health.status).toBe(200);
  }
  async function ended(socket: RawSocket): Promise<void> {
    await Promise.race([socket.closed, sleep(longest, undefined, { ref: false })]);
    expect(socket.isClosed()).toBe(true);
  }
  /** Sends the same again and again, until the server has had enough; how often it went out. */
  async function flood(socket: RawSocket, bytes: Buffer, most: number): Promise<number> {
    let sent = 0;
    while (sent < most && !socket.isClosed()) {
      await socket.send(bytes);
      sent++;
      if (sent % 100 === 0) await sleep(0);
    }
    return sent;
  }

  test("garbage: random bytes, zeros, another protocol, a TLS handshake, a request that is none", async () => {
    // Noise, and the same each time.
    const noise = Buffer.concat(Array.from({ length: 512 }, (_, i) => createHash("sha256").update(`${i}`).digest()));
    const hello = Buffer.from("160301002f0100002b0303".padEnd(104, "0"), "hex");
    const openings = [
      noise,
      Buffer.alloc(16_384),
      hello,
      Buffer.from("SSH-2.0-OpenSSH_9.9\r\n"),
      Buffer.from("GET\r\n\r\n"),
    ];
    for (const bytes of openings) {
      const many = await Promise.all(Array.from({ length: 20 }, () => connect()));
      await Promise.all(many.map((socket) => socket.send(bytes)));
      await Promise.all(many.map(ended));
    }
    const afterPreface = await connect();
    await afterPreface.send(Buffer.concat([greeting(), noise]));
    await ended(afterPreface);
  });

  test("half a preface, and a preface after which nothing comes", async () => {
    const half = await connect();
    await half.send(greeting().subarray(0, 10));
    const whole = await connect();
    await whole.send(greeting().subarray(0, 24));
    const greeted = await connect();
    await greeted.send(greeting());
    await Promise.all([half, whole, greeted].map(ended));
    expect(goawayIn(greeted.heard())).toBe(0);
  });

  test("1,000 idle connections: a call is answered beside them, and they are let go", async () => {
    const many: RawSocket[] = [];
    for (let i = 0; i < 1_000; i += 100) {
      const some = await Promise.all(Array.from({ length: 100 }, () => connect()));
      await Promise.all(some.filter((_, at) => at % 2 === 0).map((socket) => socket.send(greeting())));
      many.push(...some);
    }
    await expectGoodCall();
    expect(await target.residentMiB()).toBeLessThan(before + mostLeftMiB);
    await Promise.all(many.map(ended));
  });

  test("HTTP/1.1: headers that come slowly, one that never ends, and one that is huge", async () => {
    const slow = await connect();
    const line = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ";
    await slow.send(Buffer.from(line));
    const dripping = (async () => {
      while (!slow.isClosed()) {
        await slow.send(Buffer.from("a"));
        await sleep(100);
      }
    })();
    const endless = await connect();
    await endless.send(Buffer.from("GET /healthz HTTP/1.1\r\n"));
    await flood(endless, Buffer.from(`x-more: ${"a".repeat(1_000)}\r\n`), 10_000);
    const huge = await connect();
    await huge.send(Buffer.from(`GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-huge: ${"a".repeat(mebibyte)}\r\n\r\n`));
    await Promise.all([slow, endless, huge].map(ended));
    await dripping;
    expect(slow.heard().toString()).toMatch(/^HTTP\/1.1 408 /);
  });

  test("one byte at a time is slow, and good", async () => {
    const http1 = await connect();
    for (const byte of Buffer.from("GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
      await http1.send(Buffer.from([byte]));
    await ended(http1);
    expect(http1.heard().toString()).toMatch(/^HTTP\/1.1 200 /);
    const http2Socket = await connect();
    const call = Buffer.concat([
      greeting(),
      frame(frames.headers, flags.endHeaders, 1, headerBlock(callHeaders(target.path, target.token))),
      frame(frames.data, flags.endStream, 1, prefixed(Buffer.alloc(0))),
    ]);
    for (const byte of call) await http2Socket.send(Buffer.from([byte]));
    await until(() => http2Socket.heard().includes("grpc-status") || hasTrailers(http2Socket.heard()), longest);
  });

  test("HTTP/2: headers whose end never comes are let go with the connection", async () => {
    const socket = await connect();
    const block = headerBlock(callHeaders(target.path, target.token));
    await socket.send(Buffer.concat([greeting(), frame(frames.headers, 0, 1, block.subarray(0, 20))]));
    await ended(socket);
  });

  test("HTTP/2: a header larger than it may be", async () => {
    const socket = await connect();
    const block = headerBlock({ ...callHeaders(target.path, target.token), "x-huge": "a".repeat(200_000) });
    await socket.send(Buffer.concat([greeting(), frame(frames.headers, 0, 1, block.subarray(0, 16_384))]));
    for (let at = 16_384; at < block.length; at += 16_384) {
      const isLast = at + 16_384 >= block.length;
      await socket.send(frame(frames.continuation, isLast ? flags.endHeaders : 0, 1, block.subarray(at, at + 16_384)));
    }
    await until(
      () => resets(socket.heard()) > 0 || goawayIn(socket.heard()) !== undefined || socket.isClosed(),
      longest,
    );
    expect(hasAnswer(socket.heard())).toBe(false);
  });

  test.each([
    ["empty", Buffer.alloc(0)],
    ["full", headerBlock({ "x-more": "a".repeat(16_000) })],
  ])("a flood of CONTINUATION frames, %s", async (_, payload) => {
    const socket = await connect();
    const block = headerBlock(callHeaders(target.path, target.token));
    await socket.send(Buffer.concat([greeting(), frame(frames.headers, 0, 1, block)]));
    const sent = await flood(socket, frame(frames.continuation, 0, 1, payload), 100_000);
    await ended(socket);
    expect(sent).toBeLessThan(100_000);
  });

  test("rapid reset: calls that are cancelled as soon as they are opened", async () => {
    const socket = await connect();
    await socket.send(greeting());
    const block = headerBlock(callHeaders(target.streamPath, target.token));
    const cancel = Buffer.from([0, 0, 0, 8]);
    let opened = 0;
    for (; opened < 100_000 && !socket.isClosed(); opened++) {
      const id = 2 * opened + 1;
      const both = [frame(frames.headers, flags.endHeaders, id, block), frame(frames.reset, 0, id, cancel)];
      await socket.send(Buffer.concat(both));
      if (opened % 100 === 0) await sleep(0);
    }
    await ended(socket);
    expect(opened).toBeLessThan(100_000);
    expect(opened).toBeGreaterThan(500);
  });

  test.each([
    ["PING", frame(frames.ping, 0, 0, Buffer.alloc(8))],
    ["SETTINGS", settingsFrame([3, 100])],
  ])("a flood of %s frames whose answers nobody reads", async (_, bytes) => {
    const socket = await connect({ reads: false });
    await socket.send(greeting());
    const batch = Buffer.concat(Array.from({ length: 1_000 }, () => bytes));
    await Promise.race([flood(socket, batch, 2_000), socket.closed, sleep(15_000, undefined, { ref: false })]);
    await expectGoodCall();
    expect(await target.residentMiB()).toBeLessThan(before + mostLeftMiB);
  });

  test("connections that are reset in the middle: of the handshake, of headers, of a body, of an answer", async () => {
    const head = frame(frames.headers, flags.endHeaders, 1, headerBlock(callHeaders(target.streamPath, target.token)));
    const openings = [
      greeting().subarray(0, 30),
      Buffer.concat([greeting(), head.subarray(0, 40)]),
      Buffer.concat([greeting(), head, frame(frames.data, 0, 1, prefixed(Buffer.alloc(100), { length: 1_000 }))]),
      Buffer.from("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nabc"),
      Buffer.from("GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n"),
    ];
    for (let round = 0; round < 20; round++) {
      const some = await Promise.all(openings.map(() => connect()));
      await Promise.all(some.map((socket, at) => socket.send(openings[at] ?? Buffer.alloc(0))));
      await sleep(round % 5);
      for (const { socket } of some) socket.resetAndDestroy();
    }
  });

  test("a window of 0 that is never opened: answers wait within bounds, beside other calls", async () => {
    const socket = await connect();
    await socket.send(greeting([4, 0]));
    const block = headerBlock(callHeaders(target.path, target.token));
    for (let i = 0; i < 900; i++) {
      const id = 2 * i + 1;
      await socket.send(frame(frames.headers, flags.endHeaders, id, block));
      await socket.send(frame(frames.data, flags.endStream, id, prefixed(Buffer.alloc(0))));
    }
    await expectGoodCall();
    expect(await target.residentMiB()).toBeLessThan(before + mostLeftMiB);
  });

  test("gzip bombs: 40 messages that unpack to half a gibibyte each", async () => {
    const bomb = prefixed(gzipSync(Buffer.alloc(512 * mebibyte)), { flags: 1 });
    // Node's client refuses answers while what it has to send is more than this; those that are refused come at once.
    const maxSessionMemory = 100;
    const session = http2.connect(`http://127.0.0.1:${target.port}`, { maxSessionMemory }).on("error", () => undefined);
    let most = 0;
    let watching = true;
    const watch = (async () => {
      while (watching) {
        most = Math.max(most, await target.residentMiB());
        await sleep(50);
      }
    })();
    const statuses = await Promise.all(
      Array.from({ length: 40 }, () => {
        const headers = callHeaders(target.path, target.token, { "grpc-encoding": "gzip" });
        const stream = session.request(headers).on("error", () => undefined);
        stream.resume().end(bomb);
        return new Promise((resolve) => {
          stream.once("response", (answer) => answer["grpc-status"] && resolve(answer["grpc-status"]));
          stream.once("trailers", (trailers) => resolve(trailers["grpc-status"]));
          stream.once("close", () => resolve(`closed ${stream.rstCode}`));
        });
      }),
    );
    watching = false;
    await watch;
    session.destroy();
    // Too large, or no room for so many at a time; none as if it were good.
    for (const status of statuses) expect(["3", "8"]).toContain(status);
    expect(most).toBeLessThan(before + 2 * mostLeftMiB);
  }, 120_000);
}
