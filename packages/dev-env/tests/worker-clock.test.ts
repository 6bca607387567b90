import { readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AttestationService, type Upload, UploadService, UploadState } from "@attestry/api/ingest";
import { RunService } from "@attestry/api/run";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, expect, jest, test } from "@jest/globals";
import { type Constellation, startConstellation } from "../src/constellation/index.ts";
import { shiftedClock } from "../src/shifted-clock.ts";

jest.setTimeout(60_000);

const hourMs = 3_600_000;
const worker = "attestation-ingest-worker";
const bundle = readFileSync(path.resolve(import.meta.dirname, "../../../bench/fixtures/bundle-63k.json"));

let constellation: Constellation | undefined;

afterEach(async () => {
  await constellation?.stop();
  constellation = undefined;
});

/** One bundle stored, whose upload is left to a worker with such a clock. */
async function storeWith(shiftMs: number) {
  const started = await startConstellation({
    shape: "processes",
    backend: "filesystem",
    separateWorker: true,
    envOf: { [worker]: shiftedClock(shiftMs) },
  });
  constellation = started;
  const { runUrl, ingestUrl, adminToken } = started;
  const call = { headers: { authorization: `Bearer ${adminToken}` }, timeoutMs: 10_000 };
  const ingest = createGrpcTransport({ baseUrl: ingestUrl });
  const uploads = createClient(UploadService, ingest);
  const runs = createClient(RunService, createGrpcTransport({ baseUrl: runUrl }));
  const { run } = await runs.create({ project: "faults", workflow: "clock" }, call);
  await createClient(AttestationService, ingest).store({ runId: run?.id ?? "", bundle }, call);
  return {
    /** The upload, as soon as it is in this state. */
    untilUpload: async (state: UploadState): Promise<Upload> => {
      const end = performance.now() + 15_000;
      for (;;) {
        const [found] = (await uploads.list({ state }, call)).uploads;
        if (found !== undefined) return found;
        if (performance.now() > end) throw new Error(`no upload is in state ${state} within 15 s`);
        await sleep(100);
      }
    },
  };
}

// It signs its calls to workflow-run itself: by a clock that is behind they have run out when they arrive.
test.each([
  ["ahead", hourMs],
  ["behind", -hourMs],
])("a worker whose clock is an hour %s uploads as any other", async (_, shiftMs) => {
  const { untilUpload } = await storeWith(shiftMs);
  expect(await untilUpload(UploadState.CONFIRMED)).toMatchObject({ attempts: 1 });
});
