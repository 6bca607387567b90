import { randomUUID } from "node:crypto";
import { deleteBlob } from "@attestry/cas-client";
import type { Transport } from "@connectrpc/connect";
import type { BlobPlace, GcLease, UnusedBlobs } from "../db/unused-blobs.ts";
import type { RunPeer } from "../run-peer.ts";
import type { Telemetry } from "../telemetry.ts";

/** Between the last moment for the delete and the end of the lease; the gateway bounds its call to the store by less. */
const marginMs = 60_000;
const deleteTimeoutMs = 30_000;
const longestError = 500;
const atATime = 10;

export type Collected =
  | { outcome: "deleted" | "kept" | "skipped" }
  /** Why. Unless nothing was sent, the lease stays until it ends. */
  | { outcome: "failed"; error: string };

export interface CollectContext {
  unusedBlobs: UnusedBlobs;
  run: Pick<RunPeer, "managerToken">;
  cas: Transport;
  telemetry: Telemetry;
}

/**
 * Deletes a blob from its backend if no attestation refers to its bytes, there or in another backend of the
 * organization: two may turn out to be one place, so rather a copy too many than one too few. First the mark, then the
 * look for rows, then a delete that takes effect under the lease or not at all. No transaction is open meanwhile;
 * whatever dies, the lease ends. The audit log says that `actor` did it.
 */
async function collect(context: CollectContext, place: BlobPlace, actor: string): Promise<Collected> {
  const collected = await tryCollect(context, place, actor);
  context.telemetry.unusedBlob(collected.outcome);
  return collected;
}

/** Collects in this order, a few at a time, until told to stop: what came of those that it came to. */
export async function collectAll(
  context: CollectContext,
  places: readonly BlobPlace[],
  actor: string,
  signal: AbortSignal,
): Promise<{ place: BlobPlace; collected: Collected }[]> {
  const all: { place: BlobPlace; collected: Collected }[] = [];
  while (all.length < places.length && !signal.aborted) {
    const some = places.slice(all.length, all.length + atATime);
    all.push(
      ...(await Promise.all(some.map(async (place) => ({ place, collected: await collect(context, place, actor) })))),
    );
  }
  return all;
}

async function tryCollect(context: CollectContext, place: BlobPlace, actor: string): Promise<Collected> {
  const { unusedBlobs } = context;
  // An owner of its own for each mark: two Collects of one process must not take each other's lease for theirs.
  const lease = await unusedBlobs.mark(place, randomUUID());
  if (lease === undefined) return { outcome: "skipped" };
  const referenced = await unusedBlobs.referenced(place);
  if (referenced !== "nowhere") {
    if (referenced === "here") await unusedBlobs.finish(lease, "kept", actor);
    else await unusedBlobs.postpone(lease);
    return { outcome: "kept" };
  }
  const removed = await remove(context, lease);
  if (removed.outcome === "deleted") await unusedBlobs.finish(lease, "deleted", actor);
  return removed;
}

async function remove({ unusedBlobs, run, cas }: CollectContext, lease: GcLease): Promise<Collected> {
  let token: string;
  try {
    token = await run.managerToken(lease);
  } catch (error) {
    await unusedBlobs.release(lease);
    return { outcome: "failed", error: textOf(error) };
  }
  // The gateway judges `notAfter` by its own clock, which may be behind: this process may have been stopped for minutes.
  const leftMs = lease.endsAt - marginMs - performance.now();
  if (leftMs <= 0) {
    await unusedBlobs.release(lease);
    return { outcome: "failed", error: "the lease was nearly over before the delete could be sent" };
  }
  try {
    await deleteBlob(cas, {
      token,
      digest: lease.digest,
      notAfter: new Date(lease.until.getTime() - marginMs),
      timeoutMs: Math.min(deleteTimeoutMs, leftMs),
    });
    return { outcome: "deleted" };
  } catch (error) {
    // It may have been deleted, or still be: only the end of the lease settles that.
    return { outcome: "failed", error: textOf(error) };
  }
}

function textOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, longestError);
}
