import { UploadState } from "@attestry/api/ingest";
import { afterEach, expect, jest, test } from "@jest/globals";
import { type Constellation, startConstellation } from "../src/constellation/index.ts";
import { shiftedClock } from "../src/shifted-clock.ts";
import { clientsOf, eventually, startRun, uploadIn } from "./system/clients.ts";
import { uniqueBundle } from "./system/fixtures.ts";

jest.setTimeout(60_000);

const hourMs = 3_600_000;
const worker = "attestation-ingest-worker";

let constellation: Constellation | undefined;

afterEach(async () => {
  await constellation?.stop();
  constellation = undefined;
});

// It signs its calls to workflow-run itself: by a clock that is behind they have run out when they arrive.
test.each([
  { clock: "ahead", shiftMs: hourMs },
  { clock: "behind", shiftMs: -hourMs },
])("a worker whose clock is an hour $clock uploads as any other", async ({ shiftMs }) => {
  constellation = await startConstellation({
    shape: "processes",
    backend: "filesystem",
    separateWorker: true,
    envOf: { [worker]: shiftedClock(shiftMs) },
  });
  const clients = clientsOf(constellation, constellation.adminToken);
  await clients.attestations.store({ runId: await startRun(clients), bundle: uniqueBundle() });
  const confirmed = () => uploadIn(clients, UploadState.CONFIRMED);
  expect(await eventually(confirmed, (upload) => upload !== undefined, 15_000)).toMatchObject({ attempts: 1 });
});
