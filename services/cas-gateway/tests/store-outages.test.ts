import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  describeWith,
  ensureBucket,
  type MinioServer,
  startMinio,
  startTcpProxy,
  type TcpProxy,
  type Treatment,
} from "@attestry/dev-env";
import { Code } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { type Gateway, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import { ClientUpload, type Message, mebibyte, readAll, refusal } from "./writing.ts";

const size = 40 * mebibyte;
/** Longer than the gateway of these tests waits for its store, with what it tries again. */
const boundMs = 25_000;

/** After whatever happened to the store, a read gives the right bytes or an error, and an upload can be brought to its end. */
describeWith(["minio"], "a store that fails in the middle", () => {
  let dir: string;
  let minio: MinioServer;
  let proxy: TcpProxy;
  let gateway: Gateway;
  let token: string;
  let reader: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "attestry-minio-"));
    minio = await startMinio({ dir });
    proxy = await startTcpProxy(minio.port);
    const secret = await ensureBucket(minio, "outages");
    gateway = await startGateway({ ...secret, endpoint: `http://127.0.0.1:${proxy.port}` }, { storeTimeoutMs: 2_000 });
    token = await gateway.casToken();
    reader = await gateway.casToken({ role: "downloader" });
  }, 60_000);
  afterEach(() => {
    proxy.up = "pass";
    proxy.down = "pass";
  });
  afterAll(async () => {
    await gateway.close();
    await proxy.close();
    await minio.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const read = ({ hex, sizeBytes }: TestBlob) => readAll(gateway.transport, `blobs/${hex}/${sizeBytes}`, reader);
  async function restart(): Promise<void> {
    await minio.kill();
    const { port, accessKey, secretKey } = minio;
    minio = await startMinio({ dir, port, accessKey, secretKey });
  }
  /** The messages, and in the midst of them something else. */
  async function* interrupted(upload: ClientUpload, at: number, happen: () => unknown): AsyncGenerator<Message> {
    for await (const message of upload.messages()) {
      if (Number(message.writeOffset) === at) await happen();
      yield message;
    }
  }
  /** Goes on as a client does, until it is stored; what the store's outage still costs passes within a time. */
  async function bringToItsEnd(upload: ClientUpload): Promise<void> {
    const deadline = Date.now() + 40_000;
    const goOn = async () => {
      const { committed, complete } = await upload.status(gateway.transport);
      if (!complete) await upload.write(gateway.transport, upload.messages(committed));
    };
    let fault: unknown = new Error("was never tried");
    while (fault !== undefined && Date.now() < deadline) {
      fault = await goOn().then(
        () => undefined,
        (error: unknown) => error,
      );
      if (fault !== undefined) await sleep(500);
    }
    if (fault !== undefined) throw fault;
    await expectRight(upload.blob, 40_000);
  }
  /** Reads until it gets the blob; whatever it gets before is an error. */
  async function expectRight(blob: TestBlob, withinMs: number): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!(await rightOrError(blob))) {
      if (Date.now() > deadline) throw new Error("cannot be read");
      await sleep(500);
    }
  }
  async function rightOrError(blob: TestBlob): Promise<boolean> {
    const came = await read(blob).catch(() => undefined);
    if (came !== undefined) expect(came.equals(blob.bytes)).toBe(true);
    return came !== undefined;
  }

  test("killed in the middle of an upload", async () => {
    const upload = new ClientUpload(randomBlob(size), token);
    const began = Date.now();
    async function kill(): Promise<void> {
      // Not while all of it is still on its way.
      expect(await upload.committedBeyond(gateway.transport, 0)).toBeGreaterThan(0);
      await minio.kill();
    }
    const writing = upload.write(gateway.transport, interrupted(upload, 30 * mebibyte, kill));
    expect(await refusal(writing)).toMatchObject({ code: Code.Unavailable });
    expect(Date.now() - began).toBeLessThan(boundMs);
    expect(await rightOrError(upload.blob)).toBe(false);
    await restart();
    await bringToItsEnd(upload);
    expect(await gateway.metric("cas_gateway_uploads_resumed_total")).toBeGreaterThan(0);
  }, 120_000);

  test("killed in the middle of a download", async () => {
    const upload = new ClientUpload(randomBlob(size), token);
    await bringToItsEnd(upload);
    proxy.down = { delayMs: 5 };
    const reading = refusal(read(upload.blob));
    await sleep(100);
    await minio.kill();
    expect(await reading).toMatchObject({ code: Code.Unavailable });
    proxy.down = "pass";
    await restart();
    await expectRight(upload.blob, 40_000);
  }, 120_000);

  test.each([500, 6_000])(
    "paused for %d ms in the middle of an upload",
    async (pauseMs) => {
      const upload = new ClientUpload(randomBlob(size), token);
      const resumed = Promise.withResolvers<void>();
      const pause = () => {
        minio.signal("SIGSTOP");
        setTimeout(() => {
          minio.signal("SIGCONT");
          resumed.resolve();
        }, pauseMs);
      };
      const began = Date.now();
      await upload.write(gateway.transport, interrupted(upload, 30 * mebibyte, pause)).catch(() => undefined);
      expect(Date.now() - began).toBeLessThan(boundMs);
      await resumed.promise;
      await bringToItsEnd(upload);
    },
    120_000,
  );

  test("paused in the middle of a download", async () => {
    const upload = new ClientUpload(randomBlob(size), token);
    await bringToItsEnd(upload);
    proxy.down = { delayMs: 5 };
    const began = Date.now();
    const reading = rightOrError(upload.blob);
    await sleep(100);
    minio.signal("SIGSTOP");
    setTimeout(() => minio.signal("SIGCONT"), 6_000);
    await reading;
    expect(Date.now() - began).toBeLessThan(boundMs);
    proxy.down = "pass";
    await sleep(6_000);
    await expectRight(upload.blob, 40_000);
  }, 120_000);

  const small = 3 * mebibyte;
  const faults: [string, number, { up?: () => Treatment; down?: () => Treatment }][] = [
    ["a large upload is cut off", size, { up: () => ({ cutAfter: 20 * mebibyte }) }],
    ["a small upload is cut off", small, { up: () => ({ cutAfter: mebibyte }) }],
    ["its answers are cut off", small, { down: () => ({ cutAfter: 100 }) }],
    ["its answers to a large upload are cut off", size, { down: () => ({ cutAfter: 1_500 }) }],
    ["it takes nothing more", size, { up: () => "stall" }],
    ["it answers no more", small, { down: () => "stall" }],
    ["everything takes long", small, { up: () => ({ delayMs: 3 }), down: () => ({ delayMs: 200 }) }],
  ];
  test.each(faults)(
    "%s (%d bytes)",
    async (_what, bytes, { up, down }) => {
      const upload = new ClientUpload(randomBlob(bytes), token);
      const began = Date.now();
      const happen = () => {
        proxy.up = up?.() ?? "pass";
        proxy.down = down?.() ?? "pass";
      };
      await upload.write(gateway.transport, interrupted(upload, 0, happen)).catch(() => undefined);
      expect(Date.now() - began).toBeLessThan(boundMs);
      await rightOrError(upload.blob);
      expect(Date.now() - began).toBeLessThan(2 * boundMs);
      proxy.up = "pass";
      proxy.down = "pass";
      await bringToItsEnd(upload);
    },
    120_000,
  );

  test("answers of reads are cut off, anywhere", async () => {
    const large = new ClientUpload(randomBlob(size), token);
    const little = new ClientUpload(randomBlob(small), token);
    await bringToItsEnd(large);
    await bringToItsEnd(little);
    const corrupt = await gateway.metric("cas_gateway_blobs_corrupt_total");
    for (const { blob } of [large, little]) {
      for (const share of [0.0001, 0.3, 0.999]) {
        proxy.down = { cutAfter: Math.floor(share * blob.sizeBytes) };
        await rightOrError(blob);
      }
      proxy.down = "pass";
      await expectRight(blob, 40_000);
    }
    // What was cut off says nothing of what is stored.
    expect(await gateway.metric("cas_gateway_blobs_corrupt_total")).toBe(corrupt);
  }, 120_000);
});
