import type { Attestations } from "../db/attestations.ts";
import type { Telemetry } from "../telemetry.ts";

const batchRows = 100;

/** Empties the byte column of all spooled rows whose uploads have been confirmed for `graceMs`. */
export async function pruneSpool(
  { attestations, telemetry }: { attestations: Attestations; telemetry: Telemetry },
  graceMs: number,
  signal: AbortSignal,
): Promise<void> {
  for (let pruned = batchRows; pruned === batchRows && !signal.aborted; ) {
    pruned = await attestations.prune(graceMs, batchRows);
    telemetry.pruned(pruned);
  }
}
