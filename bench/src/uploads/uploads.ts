import { uniqueBundle } from "../bundles.ts";
import { attestations, createOrganization, createRun } from "../client.ts";
import { openClient } from "../grpc-client.ts";
import { each, type Measurement, measure, median } from "../load.ts";
import { type Figure, round } from "../report.ts";
import { drainRateOf, fillBacklog, putDirectly, smallBundle, untilConfirmed, waitsOf } from "./backlog.ts";
import { external, type Place, startPlace } from "./place.ts";

const inFlight = 32;
const creating = 16;
const oneByOne = 200;

export interface UploadsPlan {
  rounds: number;
  /** Stores of a round. */
  calls: number;
  /** Uploads that wait when the workers start. */
  backlog: number;
}

/** What the durable queue costs Store, how soon an upload is confirmed, and how fast workers drain what waits. */
export async function benchUploads(plan: UploadsPlan, tell: (line: string) => void): Promise<Figure[]> {
  const place = await startPlace();
  try {
    // The waits first, while nothing else is under way.
    const figures = [...(await confirmTimes(place, tell)), ...(await storeRates(place, plan, tell))];
    for (const [name, bundle] of [
      ["4 KB", smallBundle()],
      ["63 KB", uniqueBundle()],
    ] as const) {
      figures.push(...(await drains(place, plan, name, bundle, tell)));
    }
    return figures;
  } finally {
    await place.stop();
  }
}

/** Store with an inline backend, with its upload queued and no worker, and with a worker beside; in turn. */
async function storeRates(place: Place, plan: UploadsPlan, tell: (line: string) => void): Promise<Figure[]> {
  const admin = openClient(place.runUrl, place.adminToken);
  const ways = {
    "no queue": await createOrganization(admin, place.runUrl, "database", external),
    "queued, no worker": await createOrganization(admin, place.runUrl, "database+upload", external),
  };
  admin.close();
  const rates = {
    "no queue": [] as Measurement[],
    "queued, no worker": [] as Measurement[],
    "queued, worker": [] as Measurement[],
  };
  const store = async (token: string) => {
    const runs = openClient(place.runUrl, token);
    const ingest = openClient(place.ingestUrl, token);
    const ids = await each(Array.from({ length: plan.calls }), creating, () => createRun(runs));
    const calls = ids.map((runId) => {
      const bundle = uniqueBundle();
      return () => ingest.call(attestations.store, { runId, bundle });
    });
    const measured = await measure(calls, inFlight);
    runs.close();
    ingest.close();
    return measured;
  };
  await place.endWorkers();
  for (const token of Object.values(ways)) await store(token);
  for (let round = 0; round < plan.rounds; round++) {
    rates["no queue"].push(await store(ways["no queue"]));
    rates["queued, no worker"].push(await store(ways["queued, no worker"]));
    await place.startWorkers(1);
    await untilConfirmed(place.database);
    rates["queued, worker"].push(await store(ways["queued, no worker"]));
    await untilConfirmed(place.database);
    await place.endWorkers();
  }
  const baseline = median(rates["no queue"]).rate;
  return Object.entries(rates).map(([way, rounds]) => {
    const { rate, p50, p99 } = median(rounds);
    tell(`Store, ${way}: ${Math.round(rate)}/s`);
    return {
      name: "uploads.store",
      params: { load: `Store, ${way}`, size: "63 KB", p50: round(p50), p99: round(p99) },
      ...{ value: round(rate), unit: "1/s", baseline: round(baseline), ratio: round(rate / baseline) },
    };
  });
}

/** From Store's commit to the confirmation, by the database's clock, one at a time with one idle worker. */
async function confirmTimes(place: Place, tell: (line: string) => void): Promise<Figure[]> {
  const admin = openClient(place.runUrl, place.adminToken);
  const token = await createOrganization(admin, place.runUrl, "database+upload", external);
  admin.close();
  await place.startWorkers(1);
  const runs = openClient(place.runUrl, token);
  const ingest = openClient(place.ingestUrl, token);
  await place.database.query("truncate upload");
  for (let n = 0; n < oneByOne; n++) {
    await ingest.call(attestations.store, { runId: await createRun(runs), bundle: uniqueBundle() });
  }
  await untilConfirmed(place.database);
  runs.close();
  ingest.close();
  const { p50, p99 } = await waitsOf(place.database);
  tell(`from Store to confirmed: p50 ${Math.round(p50)} ms, p99 ${Math.round(p99)} ms`);
  return [
    {
      name: "uploads.confirm",
      params: { load: "Store to confirmed, one at a time", size: "63 KB", p50: round(p50), p99: round(p99) },
      ...{ value: round(p50), unit: "ms" },
    },
  ];
}

/** A backlog through one worker and through two, beside the same bytes put to the store directly. */
async function drains(
  place: Place,
  { backlog }: UploadsPlan,
  size: string,
  bundle: Buffer,
  tell: (line: string) => void,
): Promise<Figure[]> {
  const baseline = await putDirectly(place.minio, bundle, Math.min(backlog, 2_000));
  const figures: Figure[] = [];
  for (const workers of [1, 2] as const) {
    await place.endWorkers();
    await fillBacklog(place.database, bundle, backlog, place.backend);
    const began = performance.now();
    await place.startWorkers(workers);
    await untilConfirmed(place.database);
    const seconds = (performance.now() - began) / 1_000;
    const rate = await drainRateOf(place.database);
    tell(
      `backlog of ${backlog}, ${size}, ${workers} worker(s): ${Math.round(rate)}/s, gone after ${seconds.toFixed(1)} s`,
    );
    figures.push({
      name: "uploads.drain",
      params: {
        load: `backlog of ${backlog}, ${workers} worker${workers === 1 ? "" : "s"}`,
        size,
        seconds: round(seconds),
      },
      ...{ value: round(rate), unit: "1/s", baseline: round(baseline), ratio: round(rate / baseline) },
    });
  }
  return figures;
}
