import { setTimeout as sleep } from "node:timers/promises";
import type { ProcessName } from "@attestry/dev-env/constellation";
import { experiment, type Outcome } from "./experiment.ts";
import type { Failure } from "./load.ts";
import type { Random } from "./random.ts";
import { retryingTransport } from "./retrying-transport.ts";
import type { SkipDatabase } from "./world.ts";

/** The order of an upgrade. */
const order: readonly ProcessName[] = [
  "workflow-run",
  "cas-gateway",
  "attestation-ingest",
  "attestation-ingest-worker",
];
/** Until the balancer sees the one that came back. */
const seenMs = 700;

/**
 * Under load, each replica of each service gets SIGTERM and comes back before the next one goes. A call that
 * fails although its client tries again, as the standard retry policy says, is a bug.
 */
export async function rollingRestart(mode: SkipDatabase, random: Random): Promise<Outcome> {
  let failures: readonly Failure[] = [];
  const outcome = await experiment({
    mode,
    world: { twoOfEach: true, transport: retryingTransport },
    load: { clients: 16, cancels: false },
    inject: async ({ constellation, faults }, { ledger }) => {
      failures = ledger.failures;
      for (const name of order) {
        for (const replica of [name, `${name}-2`] as const) {
          await sleep(seenMs + random() * 500);
          faults.push(`SIGTERM to ${replica}`);
          await constellation.restart(replica);
        }
      }
    },
  });
  const failed = failures.map(({ name, error }) => `${name} failed: ${error.message}`);
  return { ...outcome, bugs: [...outcome.bugs, ...failed] };
}
