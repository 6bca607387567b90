import { ReadResponseSchema, WriteRequestSchema, WriteResponseSchema } from "@attestry/api/bytestream";
import { parseCasResourceName, ResourceServiceDescribeResponseSchema } from "@attestry/chainloop-compat/cas";
import { type RecordedCasCall, recordedCasCalls } from "@attestry/chainloop-compat/cas-recording";
import { fromBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { ChainloopClient, paths } from "./chainloop-client.ts";
import { type Gateway, startGateway } from "./harness.ts";
import type { Store } from "./stores.ts";

/**
 * Every call to the CAS that was recorded of the chainloop command line, byte for byte but for its token; the answers are
 * compared field by field. Differences that are allowed:
 *
 * - committed_size of an answer to what is there already: 0 in the recordings, the blob's size here;
 * - how a Read is cut into chunks.
 */
export function chainloopReplaySuite(startStore: () => Promise<Store>): void {
  let store: Store;
  let gateway: Gateway;
  let client: ChainloopClient;
  beforeAll(async () => {
    store = await startStore();
    gateway = await startGateway(store.secret, { chainloop: true });
    client = new ChainloopClient(gateway.port);
  });
  afterAll(async () => {
    client.close();
    await gateway.close();
    await store.stop();
  });

  const stored = new Map<string, number>();
  const replays: Record<string, (call: RecordedCasCall) => Promise<void>> = {
    [paths.write]: async (call) => {
      const token = await gateway.casToken({ role: "uploader" });
      const frames = call.requests.map((bytes) => fromBinary(WriteRequestSchema, bytes));
      const { hex } = parseCasResourceName(frames[0]?.resourceName ?? "");
      // The command line was answered while it was still sending.
      const end = frames.at(-1)?.finishWrite === true;
      const { answer } = client.send(token, call.requests, { end });
      const { committedSize } = fromBinary(WriteResponseSchema, await answer);
      const recorded = fromBinary(WriteResponseSchema, call.responses[0] ?? Buffer.of());
      const sent = frames.reduce((sum, { data }) => sum + data.byteLength, 0);
      if (end) stored.set(hex, sent);
      expect(Number(committedSize)).toBe(Number(recorded.committedSize) || stored.get(hex));
    },
    [paths.describe]: async (call) => {
      const token = await gateway.casToken({ role: "downloader" });
      const answer = await client.ask(token, paths.describe, call.requests[0] ?? Buffer.of());
      const [recorded] = call.responses.map((bytes) => fromBinary(ResourceServiceDescribeResponseSchema, bytes));
      expect(fromBinary(ResourceServiceDescribeResponseSchema, answer)).toEqual(recorded);
    },
    [paths.read]: async (call) => {
      const token = await gateway.casToken({ role: "downloader" });
      const answers = await client.stream(token, call.requests[0] ?? Buffer.of());
      const joined = (messages: readonly Buffer[]) =>
        Buffer.concat(messages.map((bytes) => fromBinary(ReadResponseSchema, bytes).data));
      expect(joined(answers).equals(joined(call.responses))).toBe(true);
    },
  };

  test.each(recordedCasCalls().map((call) => [call.recording, call.seq, call.method, call] as const))(
    "%s %d %s",
    async (_recording, _seq, method, call) => {
      const replay = replays[method];
      if (replay === undefined) throw new Error(`${method} is not replayed`);
      expect(call.code).toBe(0);
      await replay(call);
    },
  );
}
