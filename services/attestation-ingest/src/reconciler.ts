import { databaseFault, firstIdAt, type Reason, reasonOf } from "@attestry/service-kit";
import { LRUCache } from "lru-cache";
import type { KeptAttestation } from "./store/attestation.ts";
import { isRefusal, type SettleContext, settle } from "./store/settle.ts";

const batchRows = 100;
const atATime = 10;
const firstId = firstIdAt(0);
/** Rows that fail by themselves, of which no more is said once a warning was. */
const rememberedRows = 10_000;

/** All rows meet these alike: to go on with the next one would be of no use. */
const faultsOfAll: ReadonlySet<Reason | undefined> = new Set(["PEER_UNAVAILABLE", "DATABASE_UNAVAILABLE"]);

export type ReconcileContext = SettleContext & { warned: LRUCache<string, true> };

/** The rows that were warned of. */
export function createWarned(): LRUCache<string, true> {
  return new LRUCache({ max: rememberedRows });
}

/**
 * One round over the rows whose Store did not finish within `olderThanMs`: each is completed and shown, removed by an
 * explicit refusal, or left if it fails otherwise. Many replicas may do so at once, since each step is idempotent.
 * Throws when workflow-run or the database is away; the next round starts anew.
 */
export async function reconcile(context: ReconcileContext, olderThanMs: number, signal: AbortSignal): Promise<void> {
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

async function reconcileRow(context: ReconcileContext, row: KeptAttestation): Promise<void> {
  const { telemetry } = context;
  try {
    await settle(context, row);
    telemetry.reconciled("completed");
  } catch (error) {
    if (isRefusal(error)) {
      telemetry.reconciled("removed");
      return;
    }
    telemetry.reconciled("left");
    if (isFaultOfAll(error)) throw error;
    warnOnce(context, row, error);
  }
}

function isFaultOfAll(error: unknown): boolean {
  return faultsOfAll.has(reasonOf(error)) || databaseFault(error) !== undefined;
}

/** Its run may come back with its database, so the row is kept; each round tries it again. */
function warnOnce({ warned, logger }: ReconcileContext, row: KeptAttestation, error: unknown): void {
  if (warned.has(row.id)) return;
  warned.set(row.id, true);
  const { runId, organizationId } = row;
  logger.warn({ err: error, runId, organizationId }, "an attestation could not be reconciled; each round tries again");
}
