import { type Logger, type Reason, reasonOf } from "@attestry/service-kit";
import type { Attestations } from "../db/attestations.ts";
import type { RunPeer } from "../run-peer.ts";
import type { Telemetry } from "../telemetry.ts";
import type { KeptAttestation } from "./attestation.ts";

export interface SettleContext {
  run: RunPeer;
  attestations: Attestations;
  /** Sets the visible mark. */
  mark: (id: string) => Promise<void>;
  telemetry: Telemetry;
  logger: Logger;
}

/** The run ended, and not with this attestation: no later try can change that. NOT_FOUND is none of these. */
const refusals: ReadonlySet<Reason | undefined> = new Set([
  "RUN_CANCELLED",
  "RUN_FAILED",
  "RUN_EXPIRED",
  "RUN_HAS_OTHER_ATTESTATION",
]);

/** Whether Complete was refused for good. */
export function isRefusal(error: unknown): boolean {
  return refusals.has(reasonOf(error));
}

/**
 * The last step of Store, which Get and the reconciler repeat for rows whose Store did not finish: completes the run
 * and, only then, shows the attestation. Idempotent. If the run ended otherwise the row goes, and the refusal is
 * thrown; any other fault leaves the row for the next try.
 */
export async function settle(context: SettleContext, kept: KeptAttestation): Promise<void> {
  try {
    await context.run.complete(kept);
  } catch (error) {
    if (isRefusal(error)) await remove(context, kept, reasonOf(error) ?? "");
    throw error;
  }
  await context.mark(kept.id);
}

/** Whether the attestation is shown now; false if its run refused it for good. Throws any other fault of `settle`. */
export function settledOrRefused(context: SettleContext, kept: KeptAttestation): Promise<boolean> {
  return settle(context, kept).then(
    () => true,
    (error: unknown) => {
      if (isRefusal(error)) return false;
      throw error;
    },
  );
}

async function remove({ attestations, telemetry, logger }: SettleContext, kept: KeptAttestation, reason: string) {
  if (!(await attestations.removeRefused(kept))) return;
  telemetry.rowRemoved(reason);
  logger.info({ runId: kept.runId, digest: kept.digest, reason }, "removed an attestation whose run ended otherwise");
}
