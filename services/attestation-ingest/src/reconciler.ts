import { reasonOf } from "@attestry/service-kit";
import type { KeptAttestation } from "./store/attestation.ts";
import { isRefusal, type SettleContext, settle } from "./store/settle.ts";

const batchRows = 100;
const atATime = 10;
const firstId = "00000000-0000-0000-0000-000000000000";

/**
 * One round over the rows whose Store did not finish within `olderThanMs`: each is completed and shown, or removed by
 * an explicit refusal. Many replicas may do so at once, since each step is idempotent. Throws when workflow-run or the
 * database is away; the next round goes on.
 */
export async function reconcile(context: SettleContext, olderThanMs: number, signal: AbortSignal): Promise<void> {
  let lastId = firstId;
  while (!signal.aborted) {
    const rows = await context.attestations.notVisible(olderThanMs, lastId, batchRows);
    for (let start = 0; start < rows.length && !signal.aborted; start += atATime) {
      const results = await Promise.allSettled(
        rows.slice(start, start + atATime).map((row) => reconcileRow(context, row)),
      );
      const fault = results.find((result) => result.status === "rejected");
      if (fault !== undefined) throw fault.reason;
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < batchRows) return;
    lastId = last.id;
  }
}

async function reconcileRow(context: SettleContext, row: KeptAttestation): Promise<void> {
  const { telemetry, logger } = context;
  try {
    await settle(context, row);
    telemetry.reconciled("completed");
  } catch (error) {
    if (isRefusal(error)) {
      telemetry.reconciled("removed");
      return;
    }
    telemetry.reconciled("left");
    // A run that is not found may come back with its database: the row is kept, and does not hold up the others.
    if (reasonOf(error) !== "RUN_NOT_FOUND") throw error;
    logger.warn({ runId: row.runId, organizationId: row.organizationId }, "an attestation's run is not found");
  }
}
