import { type Baseline, openBaseline } from "./baseline.ts";
import { uniqueBundle } from "./bundles.ts";
import { attestations, type BenchMode, createOrganization, createRun } from "./client.ts";
import { type GrpcClient, openClient } from "./grpc-client.ts";
import { each, type Measurement, measure, median } from "./load.ts";
import { type Figure, figures } from "./report.ts";
import type { Target } from "./targets.ts";

const creating = 16;
export const warmInFlight = 32;

export interface LoadPlan {
  inFlight: readonly number[];
  modes: readonly BenchMode[];
  rounds: number;
  /** Calls of a round, for a number in flight. */
  callsOf(inFlight: number): number;
}

/** Store, in each mode and at each number in flight, beside a bare insert of the same bytes; round by round in turn. */
export async function benchStore(target: Target, plan: LoadPlan, tell: (line: string) => void): Promise<Figure[]> {
  const all: Figure[] = [];
  const admin = openClient(target.runUrl, target.adminToken);
  for (const mode of plan.modes) {
    const token = await createOrganization(admin, target.runUrl, mode, target.external);
    const runs = openClient(target.runUrl, token);
    const ingest = openClient(target.ingestUrl, token);
    for (const inFlight of plan.inFlight) {
      const bare = await openBaseline(target.databaseUrl, inFlight);
      const calls = plan.callsOf(inFlight);
      const stored: Measurement[] = [];
      const inserted: Measurement[] = [];
      // Both sides are warmed up first, with as many calls at any number in flight, since compilers count calls.
      await oneRound(runs, ingest, bare, plan.callsOf(warmInFlight), warmInFlight);
      for (let round = 0; round < plan.rounds; round++) {
        const { baseline, measured } = await oneRound(runs, ingest, bare, calls, inFlight);
        inserted.push(baseline);
        stored.push(measured);
      }
      await bare.close();
      all.push(...figures("store", { target: target.name, mode, inFlight, calls }, median(stored), median(inserted)));
      tell(
        `store, ${target.name}, ${mode}, ${inFlight} in flight: ${Math.round(median(stored).rate)}/s, bare ${Math.round(median(inserted).rate)}/s`,
      );
    }
    runs.close();
    ingest.close();
  }
  admin.close();
  return all;
}

/** Creates runs, outside of what is measured; then bare inserts; then Stores. */
async function oneRound(runs: GrpcClient, ingest: GrpcClient, bare: Baseline, calls: number, inFlight: number) {
  const ids = await each(Array.from({ length: calls }), creating, () => createRun(runs));
  const inserts = ids.map(() => {
    const bundle = uniqueBundle();
    return () => bare.insert(bundle);
  });
  const stores = ids.map((runId) => {
    const bundle = uniqueBundle();
    return () => ingest.call(attestations.store, { runId, bundle });
  });
  return { baseline: await measure(inserts, inFlight), measured: await measure(stores, inFlight) };
}
