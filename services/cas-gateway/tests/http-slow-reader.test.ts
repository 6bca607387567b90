import http2 from "node:http2";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Gateway, randomBlob, startGateway } from "./harness.ts";
import { ask2, blobUrl } from "./http-client.ts";
import { folderStore, type Store } from "./stores.ts";

const idleTimeoutMs = 700;
let store: Store;
let gateway: Gateway;
beforeAll(async () => {
  store = await folderStore();
  gateway = await startGateway(store.secret, { idleTimeoutMs });
});
afterAll(async () => {
  await gateway.close();
  await store.stop();
});

test.each([1_000, 400_000])(
  "a client that takes nothing of a blob of %d bytes is given up",
  async (size) => {
    const blob = randomBlob(size);
    const url = blobUrl(gateway, blob);
    const stored = await ask2(url, {
      method: "PUT",
      headers: { authorization: `Bearer ${await gateway.casToken()}` },
      body: blob.bytes,
    });
    expect(stored.status).toBe(201);
    const authorization = `Bearer ${await gateway.casToken({ role: "downloader" })}`;
    const session = http2.connect(gateway.url, { settings: { initialWindowSize: 0 } });
    const stream = session.request({ ":path": new URL(url).pathname, authorization });
    stream.on("error", () => undefined).end();
    await new Promise((resolve) => stream.once("close", resolve));
    expect(stream.rstCode).toBe(http2.constants.NGHTTP2_INTERNAL_ERROR);
    session.destroy();
  },
  5_000,
);
