import { setTimeout as sleep } from "node:timers/promises";
import { RetryInfoSchema } from "@attestry/api/errors";
import { WorkflowService } from "@attestry/api/run";
import { type ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { expect, test } from "@jest/globals";
import { createMetrics, reasonOf, serve } from "../src/index.ts";
import { aborted, adminToken, fakeModule, logger } from "./fake-module.ts";

const headers = { authorization: `Bearer ${adminToken}` };
const large = "w".repeat(400 * 1024);

const gzip = { sendCompression: compressionGzip, compressMinBytes: 0 };
const transports: [string, (baseUrl: string) => Transport][] = [
  ["gRPC", (baseUrl) => createGrpcTransport({ baseUrl })],
  ["gRPC, compressed", (baseUrl) => createGrpcTransport({ baseUrl, ...gzip })],
  ["gRPC-Web, compressed", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2", ...gzip })],
  ["Connect over HTTP/1.1", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  ["Connect over HTTP/1.1, compressed", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", ...gzip })],
];

test.each(transports)("%s: a full server says STORE_BUSY until a caller goes away", async (_name, transport) => {
  let held = 0;
  const server = await serve({
    modules: [
      fakeModule({
        async get({ project }, context) {
          if (project !== "held") return {};
          held++;
          await aborted(context);
          throw context.signal.reason;
        },
      }),
    ],
    listen: { host: "127.0.0.1", port: 0 },
    logger,
    metrics: createMetrics(),
    limits: { inFlightBytes: 700 * 1024 },
  });
  const client = createClient(WorkflowService, transport(server.url));
  const stop = new AbortController();
  const holding = client.get({ project: "held", name: large }, { headers, signal: stop.signal }).catch(() => "gone");
  while (held === 0) await sleep(5);
  const error = await client.get({ name: large }, { headers }).catch((cause: unknown) => cause);
  expect(reasonOf(error)).toBe("STORE_BUSY");
  expect((error as ConnectError).findDetails(RetryInfoSchema)).toHaveLength(1);
  stop.abort();
  await holding;
  const until = Date.now() + 3_000;
  while ((await client.get({ name: large }, { headers }).then(() => "ok", reasonOf)) !== "ok") {
    if (Date.now() > until) throw new Error("what the caller held was not given back");
    await sleep(20);
  }
  await server.close();
});
