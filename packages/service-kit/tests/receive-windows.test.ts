import { EventEmitter } from "node:events";
import http2, { type ClientHttp2Session, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import net, { type AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { createReceiveWindows, largestWindowBytes, type ReceiveWindows } from "../src/server/receive-windows.ts";
import { connect, until } from "./raw-call.ts";

const closers: (() => void)[] = [];
let windows: ReceiveWindows;
let session: ClientHttp2Session;
/** What the server hears of the client, while false: nothing. */
let isHeard: boolean;
let unheard: (() => void)[];
let announced: (number | undefined)[];

/** A client whose bytes a proxy keeps back when it is told to. */
beforeEach(async () => {
  const sessions = new Set<ServerHttp2Session>();
  windows = createReceiveWindows(sessions);
  const server = http2.createServer({ settings: { initialWindowSize: largestWindowBytes } });
  server.on("session", (joined) => {
    sessions.add(joined);
    windows.joined(joined);
    joined.on("error", () => undefined).once("close", () => sessions.delete(joined));
  });
  [isHeard, unheard, announced] = [true, [], []];
  const proxy = net.createServer((client) => {
    const upstream = net.connect((server.address() as AddressInfo).port);
    upstream.pipe(client);
    client.on("data", (bytes) => {
      if (isHeard) upstream.write(bytes);
      else unheard.push(() => upstream.write(bytes));
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on("error", () => undefined).once("close", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  session = connect(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  session.on("remoteSettings", ({ initialWindowSize }) => announced.push(initialWindowSize));
  closers.push(
    () => session.destroy(),
    () => proxy.close(),
    () => server.close(),
  );
  await until(() => announced.length === 1 && sessions.size === 1);
  // The server has the acknowledgement.
  await new Promise<void>((resolve, reject) => session.ping((error) => (error ? reject(error) : resolve())));
});
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function open(count: number): EventEmitter[] {
  const streams = Array.from({ length: count }, () => new EventEmitter());
  for (const stream of streams) windows.opened(stream as unknown as ServerHttp2Stream);
  return streams;
}
function end(streams: EventEmitter[]): void {
  for (const stream of streams) stream.emit("close");
}
const pause = () => new Promise((resolve) => setTimeout(resolve, 20));

test("short uploads beside as many as fit do not change the window again and again", async () => {
  open(32);
  for (let i = 0; i < 5; i++) {
    const short = open(1);
    await pause();
    end(short);
    await pause();
  }
  expect(announced).toEqual([largestWindowBytes, largestWindowBytes / 2]);
});

test("a session that acknowledges late is told the window of then, and is not ended", async () => {
  isHeard = false;
  for (let i = 0; i < 15; i++) {
    const many = open(200);
    await pause();
    end(many);
    await pause();
  }
  open(65);
  isHeard = true;
  for (const send of unheard.splice(0)) send();
  await until(() => announced.at(-1) === largestWindowBytes / 4);
  expect(announced.length).toBeLessThan(5);
  expect(session.destroyed).toBe(false);
});
