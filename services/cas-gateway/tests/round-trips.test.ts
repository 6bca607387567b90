import { uploadBlob } from "@attestry/cas-client";
import { createTestBucket, describeWith } from "@attestry/dev-env";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type FaultyStore, startFaultyStore } from "./faulty-store.ts";
import { chunksOf, type Gateway, randomBlob, startGateway, type TestBlob } from "./harness.ts";
import { ask1, blobUrl } from "./http-client.ts";
import { ClientUpload, type Message } from "./writing.ts";

describeWith(["minio"], "a small blob costs the store one request", () => {
  let store: FaultyStore;
  let gateway: Gateway;
  let token: string;
  beforeAll(async () => {
    const secret = await createTestBucket();
    store = await startFaultyStore(secret.endpoint);
    gateway = await startGateway({ ...secret, endpoint: store.endpoint.href });
    token = await gateway.casToken();
    // What the store knows is found out by the first ones.
    for (let i = 0; i < 2; i++) await uploadBlob(gateway.transport, { token, ...randomBlob(10) });
  });
  afterAll(async () => {
    await gateway.close();
    await store.close();
  });

  async function requestsOf(act: (blob: TestBlob) => Promise<unknown>): Promise<string[]> {
    const blob = randomBlob(50_000);
    store.seen.length = 0;
    await act(blob);
    return store.seen.map(({ line }) => line.split(" ")[0] ?? "");
  }

  test("written by gRPC in many messages", async () => {
    const requests = await requestsOf(async (blob) => {
      const upload = new ClientUpload(blob, token);
      async function* pieces(): AsyncGenerator<Message> {
        let offset = 0;
        for await (const data of chunksOf(blob.bytes, 16_384)) {
          const end = offset + data.byteLength;
          yield { resourceName: upload.name, writeOffset: BigInt(offset), data, finishWrite: end === blob.sizeBytes };
          offset = end;
        }
      }
      expect(await upload.write(gateway.transport, pieces())).toBe(blob.sizeBytes);
    });
    expect(requests).toEqual(["PUT"]);
  });

  test("put over HTTP", async () => {
    const headers = { authorization: `Bearer ${token}` };
    const requests = await requestsOf(async (blob) => {
      const answer = await ask1(blobUrl(gateway, blob), { method: "PUT", headers, body: blob.bytes });
      expect(answer.status).toBe(201);
    });
    expect(requests).toEqual(["PUT"]);
  });
});
