import { type ChildProcess, fork } from "node:child_process";
import type { ClientHttp2Session } from "node:http2";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { WriteRequestSchema } from "@attestry/api/bytestream";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
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
function call(session: ClientHttp2Session, method: string) {
  return session
    .request({
      ":method": "POST",
      ":path": method,
      "content-type": "application/grpc",
      authorization: `Bearer ${token}`,
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

beforeAll(async () => {
  child = fork(path.join(import.meta.dirname, "slow-server.ts"));
  ({ url, token } = await told<{ url: string; token: string }>());
});
afterAll(() => child.disconnect());

test("200 uploads into handlers that do not take them hold a bounded memory, on any number of connections", async () => {
  const before = await residentMiB();
  const message = prefixed(
    toBinary(WriteRequestSchema, create(WriteRequestSchema, { data: new Uint8Array(mebibyte) })),
  );
  const sessions = Array.from({ length: 10 }, () => connect(url));
  let sent = 0;
  for (let i = 0; i < streams; i++) {
    const stream = call(sessions[i % sessions.length] as ClientHttp2Session, "/google.bytestream.ByteStream/Write");
    const write = () => {
      stream.write(message, (error) => {
        if (error) return;
        sent++;
        write();
      });
    };
    write();
  }
  // Until nothing more goes through for a while.
  for (let last = -1; sent !== last; ) {
    last = sent;
    await sleep(2_000);
  }
  const held = (await residentMiB()) - before;
  // A message of 1 MiB in each handler, and 256 MiB of windows; measured: 411 MiB.
  expect(held).toBeLessThan(650);
  expect(await isServing(sessions[0] as ClientHttp2Session)).toBe("0");
  for (const session of sessions) session.destroy();
});

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
