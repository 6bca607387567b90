import { VerificationMode } from "@attestry/api/run";
import { uniqueBundle } from "./bundles.ts";
import { attestations, createOrganization, createRun } from "./client.ts";
import { type GrpcClient, openClient } from "./grpc-client.ts";
import { each, type Measurement, measure, median } from "./load.ts";
import { type Figure, figures } from "./report.ts";
import { type LoadPlan, warmInFlight } from "./store.ts";
import type { Target } from "./targets.ts";

const creating = 16;

interface Side {
  runs: GrpcClient;
  ingest: GrpcClient;
}

/** Store into the database with the signature verified, beside Store without; round by round in turn, each first in every other one. */
export async function benchVerification(
  target: Target,
  plan: LoadPlan,
  tell: (line: string) => void,
): Promise<Figure[]> {
  const all: Figure[] = [];
  const checked = await openSide(target, VerificationMode.SIGNATURE);
  const unchecked = await openSide(target, VerificationMode.OFF);
  for (const inFlight of plan.inFlight) {
    const calls = plan.callsOf(inFlight);
    const results = new Map<Side, Measurement[]>([
      [checked, []],
      [unchecked, []],
    ]);
    // Warmed up first, with as many calls at any number in flight, since compilers count calls.
    for (const side of [checked, unchecked]) await oneRound(side, plan.callsOf(warmInFlight), warmInFlight);
    for (let round = 0; round < plan.rounds; round++) {
      const order = round % 2 === 0 ? [checked, unchecked] : [unchecked, checked];
      for (const side of order) results.get(side)?.push(await oneRound(side, calls, inFlight));
    }
    const [measured, baseline] = [median(results.get(checked) ?? []), median(results.get(unchecked) ?? [])];
    all.push(
      ...figures("verification", { target: target.name, mode: "signature", inFlight, calls }, measured, baseline),
    );
    tell(
      `store, ${target.name}, ${inFlight} in flight: signature ${Math.round(measured.rate)}/s, off ${Math.round(baseline.rate)}/s`,
    );
  }
  for (const { runs, ingest } of [checked, unchecked]) {
    runs.close();
    ingest.close();
  }
  return all;
}

async function openSide(target: Target, verificationMode: VerificationMode): Promise<Side> {
  const admin = openClient(target.runUrl, target.adminToken);
  const token = await createOrganization(admin, target.runUrl, "database", target.external, verificationMode);
  admin.close();
  return { runs: openClient(target.runUrl, token), ingest: openClient(target.ingestUrl, token) };
}

/** Creates runs, outside of what is measured; then Stores. */
async function oneRound({ runs, ingest }: Side, calls: number, inFlight: number): Promise<Measurement> {
  const ids = await each(Array.from({ length: calls }), creating, () => createRun(runs));
  const stores = ids.map((runId) => {
    const bundle = uniqueBundle();
    return () => ingest.call(attestations.store, { runId, bundle });
  });
  return measure(stores, inFlight);
}
