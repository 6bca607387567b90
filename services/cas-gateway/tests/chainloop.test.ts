import { describeWith } from "@attestry/dev-env";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { ChainloopClient, framesOf, nameOf, paths, refusalOf } from "./chainloop-client.ts";
import { chainloopReplaySuite } from "./chainloop-replay-suite.ts";
import { chainloopSuite } from "./chainloop-suite.ts";
import { type Gateway, randomBlob, startGateway } from "./harness.ts";
import { bucketStore, folderStore, type Store } from "./stores.ts";

describe("the recorded calls of the chainloop command line, on a folder", () => chainloopReplaySuite(folderStore));
describeWith(["minio"], "the recorded calls of the chainloop command line, on a bucket", () =>
  chainloopReplaySuite(bucketStore),
);
describe("the chainloop command line on a folder", () => chainloopSuite(folderStore));
describeWith(["minio"], "the chainloop command line on a bucket", () => chainloopSuite(bucketStore));

describe("a gateway that does not serve the chainloop command line", () => {
  let store: Store;
  let gateway: Gateway;
  let client: ChainloopClient;
  beforeAll(async () => {
    store = await folderStore();
    gateway = await startGateway(store.secret);
    client = new ChainloopClient(gateway.port);
  });
  afterAll(async () => {
    client.close();
    await gateway.close();
    await store.stop();
  });

  test("knows none of its names", async () => {
    const blob = randomBlob(10);
    const token = await gateway.casToken();
    const written = refusalOf(client.write(token, framesOf(blob.bytes, nameOf(blob))));
    expect(await written).toMatchObject({ code: Code.InvalidArgument, reason: "RESOURCE_NAME_INVALID" });
    expect((await written).message).not.toContain("chainloop");
    const reading = client.read(await gateway.casToken({ role: "downloader" }), { resourceName: blob.hex });
    expect(await refusalOf(reading)).toMatchObject({ code: Code.InvalidArgument, reason: "RESOURCE_NAME_INVALID" });
  });

  test("answers its service as one that nobody serves", async () => {
    const token = await gateway.casToken({ role: "downloader" });
    const described = await refusalOf(client.ask(token, paths.describe, Buffer.of()));
    const unknown = await refusalOf(client.ask(token, "/cas.v1.OtherService/Describe", Buffer.of()));
    expect(described.code).toBe(Code.Unimplemented);
    expect({ ...unknown, message: unknown.message.replace("Other", "Resource") }).toEqual(described);
  });
});
