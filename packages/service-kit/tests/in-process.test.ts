import { setTimeout as sleep } from "node:timers/promises";
import { ByteStream } from "@attestry/api/bytestream";
import { WorkflowService } from "@attestry/api/run";
import { Code, createClient, type ServiceImpl } from "@connectrpc/connect";
import { expect, test } from "@jest/globals";
import { connectErrorOf, createInProcessTransport, DomainError, reasonOf } from "../src/index.ts";
import { aborted, fakeModule, keyrings } from "./fake-module.ts";

const identity = { keyring: keyrings["attestation-ingest"], to: "workflow-run" } as const;

function clients(handlers: Partial<ServiceImpl<typeof ByteStream> & ServiceImpl<typeof WorkflowService>>) {
  const module = fakeModule(handlers);
  const transport = createInProcessTransport(() => module, identity);
  return { transport, bytes: createClient(ByteStream, transport), workflows: createClient(WorkflowService, transport) };
}

async function fault(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

async function drain(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of messages);
}

test("each kind of method, and every message as it was handed over", async () => {
  const data = new Uint8Array([1, 2, 3]);
  const seen: unknown[] = [];
  const { bytes, workflows } = clients({
    get: ({ name }) => ({ workflow: { name } }),
    async *read({ resourceName }) {
      yield { data: Buffer.from(`${resourceName}0`) };
      yield { data: Buffer.from(`${resourceName}1`) };
    },
    async write(requests) {
      for await (const request of requests) seen.push(request.data);
      return { committedSize: BigInt(seen.length) };
    },
  });
  const request = { name: "w" };
  expect((await workflows.get(request)).workflow?.name).toBe("w");
  expect(request).toEqual({ name: "w" });
  const read: string[] = [];
  for await (const answer of bytes.read({ resourceName: "a" })) read.push(Buffer.from(answer.data).toString());
  expect(read).toEqual(["a0", "a1"]);
  async function* twice() {
    yield { data };
    yield { data };
  }
  expect((await bytes.write(twice())).committedSize).toBe(2n);
  expect(seen[0]).toBe(data);
  expect(data).toEqual(new Uint8Array([1, 2, 3]));
});

test("the gate refuses before a handler runs or a message is asked for", async () => {
  let ran = 0;
  let asked = 0;
  const { bytes, workflows } = clients({
    queryWriteStatus: () => {
      ran++;
      return {};
    },
    async write() {
      ran++;
      return {};
    },
  });
  async function* count() {
    asked++;
    yield {};
  }
  // That the token of the service is refused is a fault of the service that calls; its caller's is its caller's.
  expect(connectErrorOf(await fault(bytes.queryWriteStatus({}))).code).toBe(Code.Internal);
  const headers = { authorization: "Bearer no.jwt.here" };
  expect(connectErrorOf(await fault(bytes.write(count(), { headers }))).code).toBe(Code.Unauthenticated);
  expect(connectErrorOf(await fault(workflows.get({}, { headers }))).code).toBe(Code.Unauthenticated);
  expect([ran, asked]).toEqual([0, 0]);
});

test("deadline and abort end a stream whose handler hears of them or hangs", async () => {
  const reasons: unknown[] = [];
  const { bytes } = clients({
    async *read({ resourceName }, context) {
      yield { data: new Uint8Array(1) };
      if (resourceName === "hangs") await new Promise(() => undefined);
      reasons.push(await aborted(context));
    },
    write: () => new Promise(() => undefined),
  });
  for (const resourceName of ["hears", "hangs"]) {
    const began = Date.now();
    expect(reasonOf(await fault(drain(bytes.read({ resourceName }, { timeoutMs: 100 }))))).toBe("PEER_UNAVAILABLE");
    const error = await fault(drain(bytes.read({ resourceName }, { signal: AbortSignal.timeout(50) })));
    expect(connectErrorOf(error).code).toBe(Code.Canceled);
    expect(Date.now() - began).toBeLessThan(1_500);
  }
  async function* silent() {
    await new Promise(() => undefined);
    yield {};
  }
  expect(reasonOf(await fault(bytes.write(silent(), { timeoutMs: 100 })))).toBe("PEER_UNAVAILABLE");
  await sleep(10);
  expect(reasons).toHaveLength(2);
});

test("a reader that breaks off lets the handler clean up, and a writer is let go when the answer came early", async () => {
  let cleaned = 0;
  let letGo = 0;
  const { bytes, transport } = clients({
    async *read() {
      try {
        while (true) yield { data: new Uint8Array(1) };
      } finally {
        cleaned++;
      }
    },
    async write(requests) {
      for await (const _ of requests) return { committedSize: 7n };
      return {};
    },
  });
  async function* one() {
    yield {};
  }
  // Connect's own client does not pass on that its reader broke off; such a call ends by its signal or its deadline.
  const reading = await transport.stream(ByteStream.method.read, undefined, 5_000, undefined, one());
  for await (const _ of reading.message) break;
  async function* forever() {
    try {
      while (true) yield {};
    } finally {
      letGo++;
    }
  }
  expect((await bytes.write(forever())).committedSize).toBe(7n);
  await sleep(20);
  expect([cleaned, letGo]).toEqual([1, 1]);
});

test("a handler that never reads is answered, and an error in mid-stream keeps its reason", async () => {
  const { bytes } = clients({
    async *read() {
      yield {};
      throw new DomainError("BLOB_CORRUPT", "half of it");
    },
    write: () => Promise.resolve({ committedSize: 1n }),
  });
  let asked = 0;
  async function* count() {
    asked++;
    yield {};
  }
  expect((await bytes.write(count())).committedSize).toBe(1n);
  expect(asked).toBe(0);
  let got = 0;
  const error = await fault(
    (async () => {
      for await (const _ of bytes.read({})) got++;
    })(),
  );
  expect([got, reasonOf(error)]).toEqual([1, "BLOB_CORRUPT"]);
});

test("a sender waits for a slow handler: no more than a message is under way", async () => {
  let sent = 0;
  let taken = 0;
  let most = 0;
  const { bytes } = clients({
    async write(requests) {
      let committedSize = 0n;
      for await (const { data } of requests) {
        taken++;
        committedSize += BigInt(data.length);
        await sleep(1);
      }
      return { committedSize };
    },
  });
  async function* blob() {
    for (let i = 0; i < 64; i++) {
      sent++;
      most = Math.max(most, sent - taken);
      yield { data: new Uint8Array(1024 * 1024) };
    }
  }
  expect((await bytes.write(blob())).committedSize).toBe(64n * 1024n * 1024n);
  expect(most).toBeLessThanOrEqual(2);
});
