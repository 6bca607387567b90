import { openBaseline } from "./baseline.ts";
import { uniqueBundle } from "./bundles.ts";
import { attestations, createOrganization, createRun } from "./client.ts";
import { openClient } from "./grpc-client.ts";
import { each, type Measurement, measure, median } from "./load.ts";
import { type Figure, figures } from "./report.ts";
import type { LoadPlan } from "./store.ts";
import type { Target } from "./targets.ts";

const creating = 16;
/** Distinct bundles that hot reads go round. */
const hotBundles = 64;

/** Get of bundles that are in the cache, and of ones that are only in the CAS, beside a bare select of the same bytes. */
export async function benchView(target: Target, plan: LoadPlan, tell: (line: string) => void): Promise<Figure[]> {
  const all: Figure[] = [];
  for (const [mode, stored] of [
    ["hot", "database"],
    ["cold", "cas"],
  ] as const) {
    const admin = openClient(target.runUrl, target.adminToken);
    const token = await createOrganization(admin, target.runUrl, stored, target.external);
    admin.close();
    for (const inFlight of plan.inFlight) {
      const calls = plan.callsOf(inFlight);
      const digests = await store(target, token, mode === "hot" ? hotBundles : calls * (plan.rounds + 1));
      // Nothing of what was stored is in a cache any more.
      if (mode === "cold") await target.restart();
      const ingest = openClient(target.ingestUrl, token);
      const bare = await openBaseline(target.databaseUrl, inFlight);
      const ids = await each(digests.slice(0, calls), creating, () => bare.insert(uniqueBundle()));
      const read: Measurement[] = [];
      const selected: Measurement[] = [];
      for (let round = 0; round <= plan.rounds; round++) {
        const gets = Array.from({ length: calls }, (_, index) => {
          const digest = digests[(round * calls + index) % digests.length] ?? "";
          return () => ingest.call(attestations.get, { by: { case: "digest", value: digest } });
        });
        const selects = Array.from({ length: calls }, (_, index) => () => bare.select(ids[index % ids.length] ?? ""));
        const baseline = await measure(selects, inFlight);
        const measured = await measure(gets, inFlight);
        if (round > 0) selected.push(baseline);
        if (round > 0) read.push(measured);
      }
      await bare.close();
      ingest.close();
      all.push(...figures("view", { target: target.name, mode, inFlight, calls }, median(read), median(selected)));
      tell(
        `view, ${target.name}, ${mode}, ${inFlight} in flight: ${Math.round(median(read).rate)}/s, bare select ${Math.round(median(selected).rate)}/s`,
      );
    }
  }
  return all;
}

async function store(target: Target, token: string, count: number): Promise<string[]> {
  const runs = openClient(target.runUrl, token);
  const ingest = openClient(target.ingestUrl, token);
  const digests = await each(Array.from({ length: count }), creating, async () => {
    const runId = await createRun(runs);
    const { digest } = await ingest.call(attestations.store, { runId, bundle: uniqueBundle() });
    return digest;
  });
  runs.close();
  ingest.close();
  return digests;
}
