import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ByteStream } from "@attestry/api/bytestream";
import { WorkflowService } from "@attestry/api/run";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { afterEach, describe, expect, test } from "@jest/globals";
import {
  connectErrorOf,
  createInProcessTransport,
  createServiceTransport,
  DomainError,
  type RunningServer,
  reasonOf,
  type ServiceModule,
  type ServiceTransport,
} from "../src/index.ts";
import { requestStorage } from "../src/observe/request-context.ts";
import { aborted, fakeModule, keyrings, serveModule } from "./fake-module.ts";

const identity = { keyring: keyrings["attestation-ingest"], to: "workflow-run" } as const;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function overNetwork(module: ServiceModule): Promise<Transport> {
  const server = await serveModule(module);
  ends.push(() => server.close());
  return connected(server.url);
}

function connected(address: string): ServiceTransport {
  const transport = createServiceTransport({ ...identity, address });
  ends.push(() => transport.close());
  return transport;
}

const inProcess = (module: ServiceModule) => Promise.resolve(createInProcessTransport(() => module, identity));

async function fault(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe.each([
  ["over the network", overNetwork],
  ["in process", inProcess],
])("%s", (_, open) => {
  test("request id, trace and what is left of the deadline travel", async () => {
    let seen: { id: string | null; trace: string | null; timeout: number | undefined } | undefined;
    const module = fakeModule({
      get(_request, context) {
        const { requestHeader } = context;
        seen = {
          id: requestHeader.get("x-request-id"),
          trace: requestHeader.get("traceparent"),
          timeout: context.timeoutMs(),
        };
        return {};
      },
    });
    const client = createClient(WorkflowService, await open(module));
    const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
    const context = { requestId: "r1", traceparent, deadline: performance.now() + 500.5 };
    await requestStorage.run(context, () => client.get({}));
    expect(seen).toMatchObject({ id: "r1", trace: traceparent });
    expect(seen?.timeout).toBeLessThanOrEqual(501);
    // As a handler does that hands on context.timeoutMs(): a fraction, or less than nothing.
    await client.get({}, { timeoutMs: 1_234.567 });
    expect(seen?.timeout).toBeLessThanOrEqual(1_235);
  });

  test("reasons of the peer are kept; its refusal of us and its bugs are INTERNAL", async () => {
    let thrown: Error = new Error("bug");
    const module = fakeModule({
      get() {
        throw thrown;
      },
    });
    const client = createClient(WorkflowService, await open(module));
    expect(connectErrorOf(await fault(client.get({}))).code).toBe(Code.Internal);
    thrown = new DomainError("WORKFLOW_NOT_FOUND", "none", { metadata: { id: "1" } });
    expect(reasonOf(connectErrorOf(await fault(client.get({}))))).toBe("WORKFLOW_NOT_FOUND");
    thrown = new DomainError("TOKEN_REVOKED", "no");
    expect(connectErrorOf(await fault(client.get({}))).code).toBe(Code.Internal);
  });

  test("a peer that does not answer in time is unavailable, whoever notices first", async () => {
    const module = fakeModule({
      async get(_request, context) {
        await aborted(context);
        throw context.signal.reason;
      },
    });
    const client = createClient(WorkflowService, await open(module));
    expect(reasonOf(await fault(client.get({}, { timeoutMs: 100 })))).toBe("PEER_UNAVAILABLE");
  });

  test("a cancelled call is CANCELLED, also when its signal was aborted before", async () => {
    const module = fakeModule({
      async get(_request, context) {
        await aborted(context);
        return {};
      },
    });
    const client = createClient(WorkflowService, await open(module));
    const during = AbortSignal.timeout(50);
    for (const signal of [AbortSignal.abort(new Error("enough")), during]) {
      const error = await fault(client.get({}, { signal, timeoutMs: 2_000 }));
      expect(error).toBeInstanceOf(ConnectError);
      expect(connectErrorOf(error).code).toBe(Code.Canceled);
    }
  });

  test("streams: reads, writes, early answers, input that fails", async () => {
    let finished = 0;
    let received = 0;
    const module = fakeModule({
      async *read() {
        for (let i = 0; i < 32; i++) yield { data: new Uint8Array(1024 * 1024) };
        throw new DomainError("BLOB_CORRUPT", "the end is missing");
      },
      async write(requests) {
        for await (const { data, resourceName, finishWrite } of requests) {
          received += data.length;
          if (resourceName === "early") return { committedSize: 1n };
          if (resourceName === "bad") throw new DomainError("RESOURCE_NAME_INVALID", "bad");
          if (finishWrite) finished++;
        }
        return { committedSize: BigInt(received) };
      },
    });
    const client = createClient(ByteStream, await open(module));
    let bytes = 0;
    const error = await fault(
      (async () => {
        for await (const { data } of client.read({})) bytes += data.length;
      })(),
    );
    expect(bytes).toBe(32 * 1024 * 1024);
    expect(reasonOf(error)).toBe("BLOB_CORRUPT");

    let returned = 0;
    async function* forever(resourceName: string) {
      try {
        while (true) yield { resourceName, data: new Uint8Array(256 * 1024) };
      } finally {
        returned++;
      }
    }
    expect((await client.write(forever("early"), { timeoutMs: 5_000 })).committedSize).toBe(1n);
    expect(reasonOf(await fault(client.write(forever("bad"), { timeoutMs: 5_000 })))).toBe("RESOURCE_NAME_INVALID");
    await sleep(100);
    expect(returned).toBe(2);

    async function* failing() {
      yield { resourceName: "x", data: new Uint8Array(10) };
      throw new Error("the disk is gone");
    }
    const inputFault = await fault(client.write(failing(), { timeoutMs: 5_000 }));
    expect(connectErrorOf(inputFault).code).toBe(Code.Internal);
    expect(finished).toBe(0);
  });
});

test("a peer that is down, and its return on the same port", async () => {
  const first: RunningServer = await serveModule(fakeModule({ get: () => ({}) }));
  const client = createClient(WorkflowService, connected(first.url));
  await client.get({});
  await first.close();
  expect(reasonOf(await fault(client.get({}, { timeoutMs: 1_000 })))).toBe("PEER_UNAVAILABLE");
  const second = await serveModule(fakeModule({ get: () => ({}) }), first.port);
  ends.push(() => second.close());
  const until = Date.now() + 5_000;
  while ((await fault(client.get({}, { timeoutMs: 500 }))) !== undefined) {
    if (Date.now() > until) throw new Error("the client did not recover");
    await sleep(50);
  }
});

test("an error of a stream that nobody reads yet is kept for its reader", async () => {
  const closed = await serveModule(fakeModule());
  await closed.close();
  const client = createClient(ByteStream, connected(closed.url));
  const messages = client.read({}, { timeoutMs: 2_000 })[Symbol.asyncIterator]();
  await sleep(300);
  expect(reasonOf(await fault(messages.next()))).toBe("PEER_UNAVAILABLE");
});

test("a peer that accepts and never answers ends by the deadline", async () => {
  const sockets: net.Socket[] = [];
  const silent = net.createServer((socket) => sockets.push(socket.on("error", () => undefined)));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  ends.push(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const client = createClient(
    WorkflowService,
    connected(`http://127.0.0.1:${(silent.address() as net.AddressInfo).port}`),
  );
  const began = Date.now();
  expect(reasonOf(await fault(client.get({}, { timeoutMs: 200 })))).toBe("PEER_UNAVAILABLE");
  expect(Date.now() - began).toBeLessThan(1_500);
});

test("only idempotent calls are tried again", async () => {
  let calls = 0;
  const unavailable = () => {
    calls++;
    throw new DomainError("DATABASE_UNAVAILABLE", "away", { retryAfterMs: 1_000 });
  };
  const client = createClient(WorkflowService, await overNetwork(fakeModule({ get: unavailable })));
  expect(reasonOf(await fault(client.get({})))).toBe("DATABASE_UNAVAILABLE");
  expect(calls).toBe(2);
});
