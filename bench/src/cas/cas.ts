import { type Measurement, measure, median } from "../load.ts";
import type { Figure } from "../report.ts";
import { type BenchBlob, freshBlob } from "./blobs.ts";
import { peakOf } from "./memory.ts";
import { startPlace } from "./place.ts";
import type { Way } from "./ways.ts";

const mebibyte = 1024 * 1024;

interface Load {
  name: string;
  sizeBytes: number;
  inFlight: number;
  /** Of one round. */
  calls: number;
}

const loads: readonly Load[] = [
  { name: "50 KB", sizeBytes: 50_000, inFlight: 16, calls: 400 },
  { name: "1 MiB", sizeBytes: mebibyte, inFlight: 4, calls: 80 },
  { name: "64 MiB", sizeBytes: 64 * mebibyte, inFlight: 1, calls: 5 },
  { name: "64 MiB", sizeBytes: 64 * mebibyte, inFlight: 3, calls: 9 },
  { name: "1 GiB", sizeBytes: 1024 * mebibyte, inFlight: 1, calls: 1 },
];

export interface CasPlan {
  rounds: number;
  /** Only loads whose name is in it; empty: all. */
  only: readonly string[];
}

/** The same loads straight to MinIO and through the gateway, in turn: uploads of fresh blobs, then reads of them. */
export async function benchCas({ rounds, only }: CasPlan, tell: (line: string) => void): Promise<Figure[]> {
  const place = await startPlace();
  const figures: Figure[] = [];
  try {
    for (const load of loads.filter(({ name }) => only.length === 0 || only.includes(name))) {
      const ways = [place.direct, ...place.ways];
      const measured = new Map(ways.map((way) => [way, { up: [] as Measurement[], down: [] as Measurement[] }]));
      const peak = await peakOf(place.gatewayPid, async () => {
        // The first round warms up.
        for (let round = 0; round <= rounds; round++) {
          for (const way of ways) {
            const { up, down } = await moveBothWays(way, load);
            if (round > 0) measured.get(way)?.up.push(up);
            if (round > 0) measured.get(way)?.down.push(down);
          }
        }
      });
      tell(`${load.name}, ${load.inFlight} in flight: gateway at ${peak.highest} MiB (${peak.before} before)`);
      for (const direction of ["up", "down"] as const) {
        const baseline = median(measured.get(place.direct)?.[direction] ?? []);
        for (const way of place.ways) {
          const figure = figureOf(load, direction, way, median(measured.get(way)?.[direction] ?? []), baseline);
          figures.push(figure);
          tell(
            `  ${direction} ${way.name}: ${figure.value} ${figure.unit}, direct ${figure.baseline}, ratio ${figure.ratio}`,
          );
        }
      }
      figures.push(memory(load.name, load.inFlight, "all ways", peak));
    }
    if (only.length === 0 || only.includes("memory"))
      figures.push(await fourLargeUploads(place.ways, place.gatewayPid, tell));
  } finally {
    await place.stop();
  }
  return figures;
}

async function moveBothWays(
  way: Way,
  { sizeBytes, inFlight, calls }: Load,
): Promise<{ up: Measurement; down: Measurement }> {
  const blobs = Array.from({ length: calls }, () => freshBlob(sizeBytes));
  const up = await measure(
    blobs.map((blob) => () => way.upload(blob)),
    inFlight,
  );
  const down = await measure(
    blobs.map((blob) => () => way.download(blob)),
    inFlight,
  );
  return { up, down };
}

/** What four uploads of 1 GiB at once add to the memory of the gateway. */
async function fourLargeUploads(ways: readonly Way[], pid: number, tell: (line: string) => void): Promise<Figure> {
  const [way] = ways;
  if (way === undefined) throw new Error("there is no way through the gateway");
  const blobs: BenchBlob[] = Array.from({ length: 4 }, () => freshBlob(1024 * mebibyte));
  const peak = await peakOf(pid, async () => void (await Promise.all(blobs.map((blob) => way.upload(blob)))));
  tell(`4 uploads of 1 GiB at once, ${way.name}: gateway at ${peak.highest} MiB (${peak.before} before)`);
  return memory("4 x 1 GiB", 4, way.name, peak);
}

function figureOf(
  load: Load,
  direction: "up" | "down",
  way: Way,
  measured: Measurement,
  baseline: Measurement,
): Figure {
  const inBytes = load.sizeBytes >= mebibyte;
  const value = (rate: number) => round(inBytes ? (rate * load.sizeBytes) / 1e6 : rate);
  return {
    name: `cas.${direction}`,
    params: { load: load.name, inFlight: load.inFlight, way: way.name, p50: round(measured.p50) },
    value: value(measured.rate),
    unit: inBytes ? "MB/s" : "1/s",
    baseline: value(baseline.rate),
    ratio: round(measured.rate / baseline.rate),
  };
}

function memory(
  name: string,
  inFlight: number,
  way: string,
  { before, highest }: { before: number; highest: number },
): Figure {
  return { name: "cas.memory", params: { load: name, inFlight, way, before }, value: highest, unit: "MiB" };
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
