import { setTimeout as sleep } from "node:timers/promises";
import { startTcpProxy } from "@attestry/dev-env";
import { Code } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { blobOf, type Gateway, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import type { Store } from "./stores.ts";
import { ClientUpload, invalid, keyOf, type Message, mebibyte, readAll, refusal } from "./writing.ts";

const size = 20 * mebibyte;
const sent = 17 * mebibyte;

/** Uploads that break off and go on, whatever the store behind the gateways. */
export function resumeSuite(startStore: () => Promise<Store>): void {
  let store: Store;
  let gateway: Gateway;
  let other: Gateway;
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret);
    other = await startGateway(store.secret);
  });
  afterAll(async () => {
    await gateway.close();
    await other.close();
    await store.stop();
  });

  const nameOf = ({ hex, sizeBytes }: TestBlob) => `blobs/${hex}/${sizeBytes}`;
  /** The same upload at both gateways, each with a token that it knows. */
  async function begin(blob = randomBlob(size)): Promise<{ here: ClientUpload; there: ClientUpload }> {
    const here = new ClientUpload(blob, await gateway.casToken());
    return { here, there: new ClientUpload(blob, await other.casToken(), here.name) };
  }
  async function breakOff(upload: ClientUpload): Promise<number> {
    expect(await refusal(upload.write(gateway.transport, upload.messages(0, sent)))).toEqual(
      invalid("WRITE_UNFINISHED"),
    );
    const { committed, complete } = await upload.status(gateway.transport);
    expect(complete).toBe(false);
    expect(committed).toBeGreaterThan(0);
    expect(committed).toBeLessThanOrEqual(sent);
    return committed;
  }
  async function expectStored(upload: ClientUpload): Promise<void> {
    expect(await upload.leftovers(store)).toEqual([]);
    const reader = await gateway.casToken({ role: "downloader" });
    expect((await readAll(gateway.transport, nameOf(upload.blob), reader)).equals(upload.blob.bytes)).toBe(true);
  }
  async function expectAbsent(upload: ClientUpload): Promise<void> {
    const reader = await gateway.casToken({ role: "downloader" });
    expect(await refusal(readAll(gateway.transport, nameOf(upload.blob), reader))).toEqual({
      code: Code.NotFound,
      reason: "BLOB_NOT_FOUND",
    });
  }

  test("after a half-close, at another gateway", async () => {
    const { here, there } = await begin();
    const committed = await breakOff(here);
    await expectAbsent(here);
    expect(await there.status(other.transport)).toEqual({ committed, complete: false });
    expect(await there.write(other.transport, there.messages(committed))).toBe(size);
    expect(await other.metric("cas_gateway_uploads_resumed_total")).toBeGreaterThan(0);
    for (const [upload, { transport }] of [
      [here, gateway],
      [there, other],
    ] as const)
      expect(await upload.status(transport)).toEqual({ committed: size, complete: true });
    await expectStored(here);
  });

  test("after a cancel", async () => {
    const { here } = await begin();
    const cancelling = new AbortController();
    async function* cancelled(): AsyncGenerator<Message> {
      yield* here.messages(0, sent);
      await sleep(300);
      cancelling.abort();
      await sleep(20_000, undefined, { ref: false });
    }
    expect(await refusal(here.write(gateway.transport, cancelled(), cancelling.signal))).toMatchObject({
      code: Code.Canceled,
    });
    const committed = await here.committedBeyond(gateway.transport, 0);
    expect(committed).toBeGreaterThan(0);
    expect(await here.write(gateway.transport, here.messages(committed))).toBe(size);
    await expectStored(here);
  });

  test("after the connection broke, at another gateway", async () => {
    const { here, there } = await begin();
    const proxy = await startTcpProxy(gateway.port);
    const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${proxy.port}` });
    async function* broken(): AsyncGenerator<Message> {
      yield* here.messages(0, sent);
      await sleep(300);
      proxy.dropAll();
      await sleep(20_000, undefined, { ref: false });
    }
    await expect(here.write(transport, broken())).rejects.toThrow();
    await proxy.close();
    const committed = await there.committedBeyond(other.transport, 0);
    expect(committed).toBeGreaterThan(0);
    expect(await there.write(other.transport, there.messages(committed))).toBe(size);
    await expectStored(here);
  });

  test("after silence", async () => {
    const { here } = await begin();
    const impatient = await startGateway(store.secret, { idleTimeoutMs: 700 });
    const upload = new ClientUpload(here.blob, await impatient.casToken(), here.name);
    expect(await refusal(upload.write(impatient.transport, upload.thenSilent(sent)))).toEqual({
      code: Code.DeadlineExceeded,
      reason: "DEADLINE_EXCEEDED",
    });
    await impatient.close();
    const { committed } = await here.status(gateway.transport);
    expect(committed).toBeGreaterThan(0);
    expect(await here.write(gateway.transport, here.messages(committed))).toBe(size);
    await expectStored(here);
  });

  test("after the gateway was shut down, at another", async () => {
    const { here, there } = await begin();
    const ending = await startGateway(store.secret, { graceMs: 100 });
    const upload = new ClientUpload(here.blob, await ending.casToken(), here.name);
    const writing = refusal(upload.write(ending.transport, upload.thenSilent(sent)));
    await sleep(700);
    await ending.close();
    expect(await writing).toMatchObject({ code: Code.Unavailable });
    const { committed } = await there.status(other.transport);
    expect(committed).toBeGreaterThan(0);
    expect(await there.write(other.transport, there.messages(committed))).toBe(size);
    await expectStored(here);
  });

  test("when all bytes came and only the end was missing", async () => {
    const { here } = await begin();
    async function* unfinished(): AsyncGenerator<Message> {
      for await (const message of here.messages()) yield { ...message, finishWrite: false };
    }
    expect(await refusal(here.write(gateway.transport, unfinished()))).toEqual(invalid("WRITE_UNFINISHED"));
    const { committed } = await here.status(gateway.transport);
    expect(await here.write(gateway.transport, here.messages(committed))).toBe(size);
    await expectStored(here);
  });

  test("only where it stopped, and a wrong offset costs nothing", async () => {
    const { here } = await begin();
    const committed = await breakOff(here);
    for (const offset of [committed - 1, committed + 1, 1, size]) {
      if (offset === committed) continue;
      expect(await refusal(here.write(gateway.transport, here.messages(offset)))).toEqual(
        invalid("WRITE_OFFSET_INVALID"),
      );
      await expect(here.write(gateway.transport, here.messages(offset))).rejects.toThrow(
        `expected write_offset ${committed}`,
      );
    }
    const beyond = here.write(gateway.transport, once({ resourceName: here.name, writeOffset: BigInt(size + 1) }));
    expect(await refusal(beyond)).toEqual(invalid("WRITE_OFFSET_INVALID"));
    expect(await here.status(gateway.transport)).toEqual({ committed, complete: false });
    const renamed = new ClientUpload(here.blob, await gateway.casToken());
    expect(await refusal(renamed.write(gateway.transport, renamed.messages(committed)))).toEqual(
      invalid("WRITE_OFFSET_INVALID"),
    );
    expect(await here.write(gateway.transport, here.messages(committed))).toBe(size);
    await expectStored(here);
  });

  test("at 0, which begins anew", async () => {
    const { here } = await begin();
    await breakOff(here);
    expect(await here.write(gateway.transport)).toBe(size);
    await expectStored(here);
  });

  test.each(["before", "after"])("with wrong bytes %s it broke off is refused, and keeps nothing", async (when) => {
    const right = randomBlob(size);
    const { here } = await begin(right);
    const bytes = Buffer.from(right.bytes);
    const at = when === "before" ? 5 : size - 1;
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    expect(await refusal(here.write(gateway.transport, here.messages(0, sent, bytes)))).toEqual(
      invalid("WRITE_UNFINISHED"),
    );
    const { committed } = await here.status(gateway.transport);
    expect(await refusal(here.write(gateway.transport, here.messages(committed, size, bytes)))).toEqual(
      invalid("DIGEST_MISMATCH"),
    );
    await expectAbsent(here);
    expect(await here.status(gateway.transport)).toEqual({ committed: 0, complete: false });
    expect(await here.leftovers(store)).toEqual([]);
    expect(await here.write(gateway.transport)).toBe(size);
    await expectStored(here);
  });

  test("is over when the rules are broken", async () => {
    const { here } = await begin();
    const committed = await breakOff(here);
    async function* withGap(): AsyncGenerator<Message> {
      yield* here.messages(committed, committed + mebibyte);
      yield { writeOffset: BigInt(committed + mebibyte + 1), data: Buffer.alloc(10), finishWrite: true };
    }
    expect(await refusal(here.write(gateway.transport, withGap()))).toEqual(invalid("WRITE_OFFSET_INVALID"));
    await expectAbsent(here);
    expect(await here.leftovers(store)).toEqual([]);
  });

  test("is not needed when another upload brought the blob: OK at once, and nothing is kept", async () => {
    const { here, there } = await begin();
    const committed = await breakOff(here);
    await new ClientUpload(here.blob, await other.casToken()).write(other.transport);
    async function* slow(): AsyncGenerator<Message> {
      yield* here.messages(committed, committed + mebibyte);
      await sleep(20_000, undefined, { ref: false });
    }
    expect(await here.write(gateway.transport, slow())).toBe(size);
    await expectStored(here);
    // What is left of it is the answer that was lost.
    expect(await there.write(other.transport, there.messages(committed))).toBe(size);
  });

  test("twice at the same time, wrongly and rightly: what is read is right", async () => {
    const { here, there } = await begin();
    const committed = await breakOff(here);
    const wrong = Buffer.from(here.blob.bytes);
    wrong.fill(0, committed);
    const outcomes = await Promise.allSettled([
      here.write(gateway.transport, here.messages(committed)),
      there.write(other.transport, there.messages(committed, size, wrong)),
    ]);
    expect(outcomes[1]?.status === "fulfilled" ? await isStored(here) : true).toBe(true);
    if (!(await isStored(here))) await new ClientUpload(here.blob, await gateway.casToken()).write(gateway.transport);
    expect(await isStored(here)).toBe(true);
  });
  async function isStored(upload: ClientUpload): Promise<boolean> {
    const reader = await gateway.casToken({ role: "downloader" });
    return readAll(gateway.transport, nameOf(upload.blob), reader).then(
      (bytes) => {
        expect(bytes.equals(upload.blob.bytes)).toBe(true);
        return true;
      },
      () => false,
    );
  }

  test("an upload of few bytes, and of none", async () => {
    for (const blob of [randomBlob(10), blobOf(Buffer.alloc(0))]) {
      const { here } = await begin(blob);
      const unfinished = once({ resourceName: here.name, data: blob.bytes.subarray(0, 4) });
      expect(await refusal(here.write(gateway.transport, unfinished))).toEqual(invalid("WRITE_UNFINISHED"));
      const { committed } = await here.status(gateway.transport);
      expect(committed).toBeLessThanOrEqual(4);
      expect(await here.write(gateway.transport, here.messages(committed))).toBe(blob.sizeBytes);
      expect(await store.content()).toContain(keyOf(blob));
    }
  });
}

async function* once(message: Message): AsyncGenerator<Message> {
  yield message;
}
