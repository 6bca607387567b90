import http2 from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@attestry/api/health";
import { WorkflowService } from "@attestry/api/run";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect, test } from "@jest/globals";
import { createMetrics, reasonOf, serve } from "../src/index.ts";
import { createBodyBudget } from "../src/server/body-budget.ts";
import { aborted, adminToken, fakeModule, logger, serveModule } from "./fake-module.ts";

const headers = { authorization: `Bearer ${adminToken}` };

test.each(["1.1", "2"] as const)(
  "closing over HTTP/%s lets a call under way finish, and then ends at once",
  async (httpVersion) => {
    const server = await serveModule(
      fakeModule({
        async get() {
          await sleep(300);
          return { workflow: { name: "late" } };
        },
      }),
    );
    const client = createClient(WorkflowService, createConnectTransport({ baseUrl: server.url, httpVersion }));
    const call = client.get({}, { headers });
    await sleep(100);
    const began = Date.now();
    const closed = server.close();
    expect((await call).workflow?.name).toBe("late");
    await closed;
    expect(Date.now() - began).toBeLessThan(1_500);
    await server.close();
  },
);

test("a server that drains says that it is not ready, and takes new callers all the same until the time is over", async () => {
  const listen = { host: "127.0.0.1", port: 0 };
  const modules = [fakeModule({ get: () => ({}) })];
  const server = await serve({ modules, listen, logger, metrics: createMetrics(), drainMs: 500 });
  const got = (httpVersion: "1.1" | "2") =>
    createClient(WorkflowService, createConnectTransport({ baseUrl: server.url, httpVersion })).get({}, { headers });
  const began = performance.now();
  const closed = server.close();
  expect((await fetch(`${server.url}/readyz`)).status).toBe(503);
  await got("1.1");
  await got("2");
  await closed;
  expect(performance.now() - began).toBeGreaterThan(490);
  expect(performance.now() - began).toBeLessThan(2_000);
  await expect(got("2")).rejects.toThrow();
});

test("closing ends a health watch, after it has told of the end", async () => {
  const server = await serveModule(fakeModule());
  const seen: Status[] = [];
  const health = createClient(Health, createGrpcTransport({ baseUrl: server.url }));
  const watch = (async () => {
    for await (const { status } of health.watch({})) seen.push(status);
  })();
  await sleep(150);
  const began = Date.now();
  await server.close();
  await watch;
  expect(seen).toEqual([Status.SERVING, Status.NOT_SERVING]);
  expect(Date.now() - began).toBeLessThan(3_000);
});

test("closing ends within its grace although a handler hangs, and the caller hears why", async () => {
  const server = await serve({
    modules: [
      fakeModule({
        async get(_request, context) {
          await aborted(context);
          throw context.signal.reason;
        },
        findOrCreate: () => new Promise(() => undefined),
      }),
    ],
    listen: { host: "127.0.0.1", port: 0 },
    logger,
    metrics: createMetrics(),
    graceMs: 200,
  });
  const transports = [
    createGrpcTransport({ baseUrl: server.url }),
    createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" }),
  ];
  const refusals = transports.map((transport) =>
    createClient(WorkflowService, transport)
      .get({}, { headers })
      .then(() => "ok", reasonOf),
  );
  const [grpc] = transports;
  if (grpc !== undefined) {
    createClient(WorkflowService, grpc)
      .findOrCreate({}, { headers })
      .catch(() => undefined);
  }
  await sleep(150);
  const began = Date.now();
  await server.close();
  expect(Date.now() - began).toBeLessThan(1_500);
  expect(await Promise.all(refusals)).toEqual(["SHUTTING_DOWN", "SHUTTING_DOWN"]);
});

test("plain gRPC: the deadline is answered although the body never comes, and one of months is no deadline of now", async () => {
  const server = await serveModule(fakeModule({ get: () => ({}) }));
  const session = http2.connect(server.url);
  async function status(timeout: string, body: Buffer | undefined, more = headers as Record<string, string>) {
    const stream = session.request({
      ":method": "POST",
      ":path": "/attestry.run.v1.WorkflowService/Get",
      "content-type": "application/grpc",
      "content-length": body === undefined ? String(40 * 1024 * 1024) : String(body.length),
      "grpc-timeout": timeout,
      te: "trailers",
      ...more,
    });
    stream.on("error", () => undefined).resume();
    if (body !== undefined) stream.end(body);
    return new Promise<unknown>((resolve) => {
      stream.once("trailers", (trailers) => resolve(trailers["grpc-status"]));
      stream.once("response", (answer) => answer["grpc-status"] !== undefined && resolve(answer["grpc-status"]));
    });
  }
  const empty = Buffer.alloc(5);
  expect(await status("100m", undefined)).toBe("4");
  expect(await status("1000S", undefined, {})).toBe("16");
  expect(await status("9999999S", empty)).toBe("0");
  expect(await status("soon", empty)).toBe("3");
  session.close();
  await server.close();
});

test("the body budget counts what calls hold, and no longer than they last", async () => {
  const budget = createBodyBudget(100, { idleMs: 5_000, leastPerSecond: 1 });
  async function* body(...sizes: number[]) {
    for (const size of sizes) yield new Uint8Array(size);
  }
  const drain = async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const _ of chunks);
  };
  const first = budget.lease();
  await drain(first.count(body(80)));
  const second = budget.lease();
  const refused = await drain(second.count(body(30))).then(() => "ok", reasonOf);
  expect(refused).toBe("STORE_BUSY");
  second.release();
  first.release();
  // The caller of this one goes away while its chunks are still in the pipe.
  const third = budget.lease();
  third.release();
  await drain(third.count(body(90)));
  const fourth = budget.lease();
  await drain(fourth.count(body(60)));
});
