import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ByteStream } from "@attestry/api/bytestream";
import { Code, ConnectError, createClient, type HandlerContext, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { GrpcTransport } from "../src/client/grpc-transport.ts";
import { createMetrics, DomainError, type RunningServer, reasonOf, serve } from "../src/index.ts";
import { aborted, adminToken, fakeModule, logger } from "./fake-module.ts";
import { until } from "./raw-call.ts";

const mebibyte = 1024 * 1024;
const options = { headers: { authorization: `Bearer ${adminToken}` }, timeoutMs: 20_000 };
const metrics = createMetrics();
let server: RunningServer;
const closers: (() => void)[] = [];
let seen: { pulled: number; left: number; reasons: unknown[] };

async function noted(context: HandlerContext): Promise<never> {
  const reason = await aborted(context);
  seen.reasons.push(reason);
  throw reason;
}

const module = fakeModule({
  async *read({ resourceName }, context) {
    const [what, size] = resourceName.split(" ");
    if (what === "nothing") return;
    if (what === "refused") throw new DomainError("BLOB_NOT_FOUND", "not here");
    try {
      for (let i = 0; i < (what === "endless" ? 10_000 : 3); i++) {
        seen.pulled++;
        yield { data: Buffer.alloc(Number(size ?? 10), i) };
        if (what === "corrupt") throw new DomainError("BLOB_CORRUPT", "100 % of it, ö");
        if (what === "held") await noted(context);
      }
    } finally {
      const mine = seen;
      await sleep(20);
      mine.left++;
    }
  },
  async write(messages, context) {
    let committedSize = 0n;
    for await (const { data, resourceName } of messages) {
      seen.pulled++;
      committedSize += BigInt(data.length);
      if (resourceName === "early") return { committedSize };
      if (resourceName === "refused") throw new DomainError("SIZE_MISMATCH", "too many");
      if (resourceName === "held") await noted(context);
      if (resourceName === "echo") seen.reasons.push(Buffer.from(data));
    }
    return { committedSize };
  },
});

beforeAll(async () => {
  server = await serve({ modules: [module], listen: { host: "127.0.0.1", port: 0 }, logger, metrics });
});
beforeEach(() => {
  seen = { pulled: 0, left: 0, reasons: [] };
});
afterAll(async () => {
  for (const close of closers) close();
  await server.close();
});

async function counted(method: "Read" | "Write", code: string): Promise<number> {
  const counter = await metrics.getSingleMetric("attestry_calls_total")?.get();
  const name = `google.bytestream.ByteStream/${method}`;
  return counter?.values.find(({ labels }) => labels.method === name && labels.code === code)?.value ?? 0;
}

async function* messages(count: number, resourceName = "", size = mebibyte, pauseMs = 0) {
  for (let i = 0; i < count; i++) {
    if (pauseMs > 0) await sleep(pauseMs);
    yield { resourceName, data: new Uint8Array(size) };
  }
}

function grpcJs(): Transport {
  const transport = new GrpcTransport(server.url);
  closers.push(() => transport.close());
  return transport;
}

describe.each([
  ["grpc-js", grpcJs],
  ["connect-node", () => createGrpcTransport({ baseUrl: server.url })],
] as const)("%s", (_name, transport) => {
  const bytes = () => createClient(ByteStream, transport());

  async function readAll(resourceName: string): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const { data } of bytes().read({ resourceName }, options)) chunks.push(data);
    return Buffer.concat(chunks);
  }
  function fault(call: Promise<unknown>): Promise<unknown> {
    return call.then(
      (value) => value,
      (error: unknown) => error,
    );
  }

  test.each([1, 100, 16_383, 16_384, 100_000, mebibyte + 3, 3 * mebibyte])(
    "messages of %d bytes, both ways",
    async (size) => {
      const read = await readAll(`sized ${size}`);
      expect(read.equals(Buffer.concat([0, 1, 2].map((value) => Buffer.alloc(size, value))))).toBe(true);
      const sent = [1, 2, 3].map(() => randomBytes(size));
      async function* echo() {
        for (const data of sent) yield { resourceName: "echo", data };
      }
      expect((await bytes().write(echo(), options)).committedSize).toBe(BigInt(3 * size));
      expect(Buffer.concat(seen.reasons as Buffer[]).equals(Buffer.concat(sent))).toBe(true);
    },
  );

  test("streams without a message", async () => {
    expect(await readAll("nothing")).toHaveLength(0);
    expect((await bytes().write(messages(0), options)).committedSize).toBe(0n);
  });

  test("a refusal, before any message and in mid-stream", async () => {
    expect(reasonOf(await fault(readAll("refused")))).toBe("BLOB_NOT_FOUND");
    const got: number[] = [];
    const call = (async () => {
      for await (const { data } of bytes().read({ resourceName: `corrupt ${2 * mebibyte}` }, options))
        got.push(data.length);
    })();
    const error = (await fault(call)) as ConnectError;
    expect([error.code, reasonOf(error), error.rawMessage]).toEqual([Code.DataLoss, "BLOB_CORRUPT", "100 % of it, ö"]);
    expect(got).toEqual([2 * mebibyte]);
  });

  test("an answer before the caller has sent all, OK and refusal, twenty times on one connection", async () => {
    const client = bytes();
    for (let i = 0; i < 20; i++) {
      const early = client.write(messages(5, i % 2 === 0 ? "early" : "refused"), options);
      if (i % 2 === 0) expect((await early).committedSize).toBe(BigInt(mebibyte));
      else expect(reasonOf(await fault(early))).toBe("SIZE_MISMATCH");
    }
    const slow = client.write(messages(100, "early", 10, 200), options);
    expect((await slow).committedSize).toBe(10n);
    expect((await client.write(messages(3), options)).committedSize).toBe(BigInt(3 * mebibyte));
  });

  test.each(["Read", "Write"] as const)("%s: the deadline ends the handler in mid-stream", async (method) => {
    // Both ends have a clock: a caller whose own is first cancels.
    const over = async () => (await counted(method, "DeadlineExceeded")) + (await counted(method, "Canceled"));
    const before = await over();
    const short = { ...options, timeoutMs: 200 };
    const call = async () => {
      if (method === "Write") return bytes().write(messages(100, "held", 10, 100), short);
      for await (const _ of bytes().read({ resourceName: "held" }, short));
    };
    expect(await fault(call())).toMatchObject({ code: Code.DeadlineExceeded });
    await until(async () => (await over()) === before + 1);
    expect(seen.reasons).toHaveLength(1);
  });

  test.each(["Read", "Write"] as const)(
    "%s: a caller that goes away in mid-stream ends the handler",
    async (method) => {
      const before = await counted(method, "Canceled");
      const stop = new AbortController();
      const call = async () => {
        if (method === "Write")
          return bytes().write(messages(100, "held", 10, 50), { ...options, signal: stop.signal });
        for await (const _ of bytes().read({ resourceName: "held" }, { ...options, signal: stop.signal }));
      };
      const result = fault(call());
      await until(() => seen.pulled === 1);
      stop.abort(new ConnectError("enough", Code.Canceled));
      expect(await result).toMatchObject({ code: Code.Canceled });
      await until(async () => (await counted(method, "Canceled")) === before + 1);
      expect(seen.reasons).toHaveLength(1);
    },
  );

  test("a handler is not pulled further than a caller reads, and is left when the caller leaves", async () => {
    const stop = new AbortController();
    const call = async () => {
      for await (const _ of bytes().read(
        { resourceName: `endless ${mebibyte}` },
        { ...options, signal: stop.signal },
      )) {
        if (stop.signal.aborted) continue;
        await sleep(500);
        stop.abort(new ConnectError("enough", Code.Canceled));
      }
    };
    expect(await fault(call())).toMatchObject({ code: Code.Canceled });
    // What the client's window and its own buffers take, and little more.
    expect(seen.pulled).toBeLessThan(30);
    const { pulled } = seen;
    await until(() => seen.left === 1);
    await sleep(50);
    expect(seen.pulled).toBeLessThanOrEqual(pulled + 3);
  });

  test("200 streams at once, both ways", async () => {
    const client = bytes();
    const writes = Array.from({ length: 100 }, () => client.write(messages(3, "", 100_000), options));
    const reads = Array.from({ length: 100 }, async () => {
      let read = 0;
      for await (const { data } of client.read({ resourceName: "sized 100000" }, options)) read += data.length;
      return read;
    });
    expect(new Set((await Promise.all(writes)).map(({ committedSize }) => Number(committedSize)))).toEqual(
      new Set([300_000]),
    );
    expect(new Set(await Promise.all(reads))).toEqual(new Set([300_000]));
  });
});

test("a server that has to end says so in mid-stream, to both kinds", async () => {
  seen = { pulled: 0, left: 0, reasons: [] };
  const ending = await serve({
    modules: [module],
    listen: { host: "127.0.0.1", port: 0 },
    logger,
    metrics: createMetrics(),
    graceMs: 300,
  });
  const client = createClient(ByteStream, createGrpcTransport({ baseUrl: ending.url }));
  const read = (async () => {
    for await (const _ of client.read({ resourceName: "held" }, options));
  })();
  const refusals = [read, client.write(messages(100, "held", 10, 50), options)].map((call) =>
    call.then(() => "ok", reasonOf),
  );
  await until(() => seen.pulled === 2);
  await ending.close();
  expect(await Promise.all(refusals)).toEqual(["SHUTTING_DOWN", "SHUTTING_DOWN"]);
  expect(seen.reasons.map(reasonOf)).toEqual(["SHUTTING_DOWN", "SHUTTING_DOWN"]);
});
