import { type ChildProcess, fork } from "node:child_process";
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { WriteRequestSchema } from "@attestry/api/bytestream";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { connect, prefixed } from "./raw-call.ts";

const mebibyte = 1024 * 1024;
const streams = 200;
let child: ChildProcess;
let url = "";
let token = "";

function told<T>(): Promise<T> {
  return new Promise((resolve) => child.once("message", (message) => resolve(message as T)));
}
async function residentMiB(): Promise<number> {
  const answer = told<{ rss: number }>();
  child.send("memory");
  return (await answer).rss / mebibyte;
}
function call(session: ClientHttp2Session, method: string, more: Record<string, string> = {}) {
  return session
    .request({
      ":method": "POST",
      ":path": method,
      "content-type": "application/grpc",
      authorization: `Bearer ${token}`,
      ...more,
    })
    .on("error", () => undefined);
}
async function isServing(session: ClientHttp2Session): Promise<unknown> {
  const stream = call(session, "/attestry.run.v1.WorkflowService/Get");
  stream.resume().end(prefixed(Buffer.alloc(0)));
  return new Promise((resolve) => {
    stream.once("trailers", (trailers) => resolve(trailers["grpc-status"]));
    stream.once("close", () => resolve(stream.rstCode));
  });
}

// A process for each: what one held before would hide what the next one takes.
beforeEach(async () => {
  child = fork(path.join(import.meta.dirname, "slow-server.ts"));
  ({ url, token } = await told<{ url: string; token: string }>());
});
afterEach(() => child.disconnect());

/** Sends the message again and again on each of that many streams, until nothing more goes through for a while. */
async function fill(
  sessions: readonly ClientHttp2Session[],
  count: number,
  message: Buffer,
  open: (session: ClientHttp2Session) => ClientHttp2Stream,
): Promise<void> {
  let sent = 0;
  for (let i = 0; i < count; i++) {
    const stream = open(sessions[i % sessions.length] as ClientHttp2Session);
    const write = () => {
      stream.write(message, (error) => {
        if (error) return;
        sent++;
        write();
      });
    };
    write();
  }
  for (let last = -1; sent !== last; ) {
    last = sent;
    await sleep(2_000);
  }
}

test.each([
  ["plain gRPC", {}],
  ["gRPC with gzip", { "grpc-encoding": "gzip" }],
  ["Connect", { "content-type": "application/connect+proto" }],
])(
  "200 uploads into handlers that do not take them hold a bounded memory: %s",
  async (_name, headers) => {
    const before = await residentMiB();
    const message = prefixed(
      toBinary(WriteRequestSchema, create(WriteRequestSchema, { data: new Uint8Array(mebibyte) })),
    );
    const sessions = Array.from({ length: 10 }, () => connect(url));
    await fill(sessions, streams, message, (session) => call(session, "/google.bytestream.ByteStream/Write", headers));
    const held = (await residentMiB()) - before;
    // A message of 1 MiB in each handler, and 256 MiB of windows; measured: 411 MiB.
    expect(held).toBeLessThan(650);
    expect(await isServing(sessions[0] as ClientHttp2Session)).toBe("0");
    for (const session of sessions) session.destroy();
  },
  30_000,
);

test.each([
  ["requests of reflection", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", {}],
  ["calls that are refused", "/attestry.run.v1.WorkflowService/Get", { "content-type": "application/json" }],
  ["calls of what is not served", "/no.such.Service/Get", { "content-type": "application/json" }],
])(
  "60 %s by one who has no token and takes no answers hold little",
  async (_name, path, headers) => {
    const before = await residentMiB();
    const session = http2.connect(url, { settings: { initialWindowSize: 0 } }).on("error", () => undefined);
    const message = prefixed(Buffer.from([0x3a, 0]));
    // Calls that take what they are sent and throw it away go on for ever.
    const filled = fill([session], 60, Buffer.concat(Array<Buffer>(10_000).fill(message)), (on) =>
      call(on, path, { authorization: "", ...headers }),
    );
    await Promise.race([filled, sleep(6_000)]);
    const held = (await residentMiB()) - before;
    // The windows of 60 streams would be 480 MiB; what is seen is mostly what was let go by and is not collected yet.
    expect(held).toBeLessThan(300);
    session.destroy();
    await filled;
    const other = connect(url);
    expect(await isServing(other)).toBe("0");
    other.destroy();
  },
  30_000,
);

test("200 downloads that nobody reads hold a bounded memory, and leave their connection of use", async () => {
  const before = await residentMiB();
  const session = connect(url);
  for (let i = 0; i < streams; i++) call(session, "/google.bytestream.ByteStream/Read").end(prefixed(Buffer.alloc(0)));
  await sleep(3_000);
  const held = (await residentMiB()) - before;
  // A message of 1 MiB for each, and 64 MiB; measured: 40 to 70 MiB, since most of a fresh message is never touched.
  expect(held).toBeLessThan(400);
  expect(await isServing(session)).toBe("0");
  session.destroy();
});
