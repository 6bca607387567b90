import http2, { type ClientHttp2Session } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "@jest/globals";
import { createMetrics, type ServingLimits, serve } from "../src/index.ts";
import { aborted, adminToken, fakeModule, logger } from "./fake-module.ts";
import { connect, prefixed, until } from "./raw-call.ts";
import { callHeaders, open } from "./raw-http2.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const path = "/attestry.run.v1.WorkflowService/Get";
/** Is never answered. */
const held = "/attestry.run.v1.WorkflowService/FindOrCreate";

async function start(limits: Partial<ServingLimits>) {
  const metrics = createMetrics();
  const modules = [
    fakeModule({
      get: ({ name }) => ({ workflow: { name } }),
      async findOrCreate(_request, context) {
        await aborted(context);
        return {};
      },
    }),
  ];
  const server = await serve({
    modules,
    listen: { host: "127.0.0.1", port: 0 },
    limits,
    logger,
    metrics,
    graceMs: 100,
  });
  ends.push(() => server.close());
  return { ...server, metrics };
}

function sessionTo(url: string): ClientHttp2Session {
  const session = connect(url);
  ends.push(() => session.destroy());
  return session;
}

/** The status of a call, or the code of the reset that it got. */
function call(session: ClientHttp2Session, more: Record<string, string> = {}, to = path): Promise<string> {
  const stream = session.request(callHeaders(to, adminToken, more)).on("error", () => undefined);
  stream.resume().end(prefixed(Buffer.alloc(0)));
  return new Promise((resolve) => {
    stream.once("trailers", (trailers) => resolve(String(trailers["grpc-status"])));
    stream.once("close", () => resolve(`reset ${stream.rstCode}`));
  });
}

test("more connections than there may be are ended at once, and counted; when others go there is room again", async () => {
  const { port, url, metrics } = await start({ maxConnections: 4 });
  const first = await Promise.all(Array.from({ length: 4 }, () => open(port)));
  ends.push(() => {
    for (const { socket } of first) socket.destroy();
  });
  await until(async () => (await metrics.metrics()).includes("attestry_connections 4"));
  const more = await Promise.all(Array.from({ length: 6 }, () => open(port)));
  await Promise.all(more.map(({ closed }) => closed));
  expect(first.map((socket) => socket.isClosed())).toEqual([false, false, false, false]);
  expect(await metrics.metrics()).toContain("attestry_connections_refused_total 6");
  first[0]?.socket.destroy();
  await until(async () => (await metrics.metrics()).includes("attestry_connections 3"));
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
});

test("a client is told how many calls it may have open, and one that has more is refused those", async () => {
  const { url } = await start({ maxStreams: 3 });
  const session = sessionTo(url);
  await new Promise((resolve) => session.once("remoteSettings", resolve));
  expect(session.remoteSettings.maxConcurrentStreams).toBe(3);
  // Node's client keeps to it: the fourth waits for the end of another.
  const others = Array.from({ length: 3 }, () =>
    session.request(callHeaders(held, adminToken)).on("error", () => undefined),
  );
  let isAnswered = false;
  const fourth = call(session).then((status) => {
    isAnswered = true;
    return status;
  });
  await sleep(200);
  expect(isAnswered).toBe(false);
  others[0]?.close(http2.constants.NGHTTP2_CANCEL);
  expect(await fourth).toBe("0");
});

test("headers larger than they may be are refused, and the next call on the connection is answered", async () => {
  const { url } = await start({ maxHeaderBytes: 4_096 });
  const session = sessionTo(url);
  await new Promise((resolve) => session.once("remoteSettings", resolve));
  expect(session.remoteSettings.maxHeaderListSize).toBe(4_096);
  expect(await call(session, { "x-large": "a".repeat(2_000) })).toBe("0");
  expect(await call(session, { "x-large": "a".repeat(6_000) })).toBe(
    `reset ${http2.constants.NGHTTP2_ENHANCE_YOUR_CALM}`,
  );
  expect(await call(session)).toBe("0");
  const get = (bytes: number) => fetch(`${url}/healthz`, { headers: { "x-large": "a".repeat(bytes) } });
  expect([(await get(2_000)).status, (await get(6_000)).status]).toEqual([200, 431]);
});

test("a client that resets more calls than it may has its connection ended; others have theirs", async () => {
  const { url } = await start({ resetBurst: 10, resetsPerSecond: 1 });
  const [session, other] = [sessionTo(url), sessionTo(url)];
  expect(await call(other)).toBe("0");
  for (let i = 0; i < 100 && !session.destroyed; i++) {
    const stream = session.request(callHeaders(held, adminToken)).on("error", () => undefined);
    await sleep(2);
    stream.close(http2.constants.NGHTTP2_CANCEL);
  }
  await until(() => session.destroyed);
  expect(await call(other)).toBe("0");
});

test("an HTTP/2 connection without calls is told to go; one with a call under way is not, until it has ended", async () => {
  const { url } = await start({ idleConnectionMs: 2_000 });
  const [idle, busy] = [sessionTo(url), sessionTo(url)];
  const underWay = busy.request(callHeaders(held, adminToken));
  underWay.on("error", () => undefined).end(prefixed(Buffer.alloc(0)));
  const goaway = new Promise((resolve) => idle.once("goaway", resolve));
  expect(await goaway).toBe(http2.constants.NGHTTP2_NO_ERROR);
  await sleep(3_500);
  expect(busy.closed).toBe(false);
  underWay.close(http2.constants.NGHTTP2_CANCEL);
  await until(() => busy.closed || busy.destroyed);
});
