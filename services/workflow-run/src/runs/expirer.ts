export interface ExpiryStore {
  /** Ends up to `limit` runs of this age that no one else is at work on. Returns how many. */
  expire(expiryMs: number, limit: number): Promise<number>;
}

const batch = 500;

/** Ends all runs older than `expiryMs` that have not ended, in short transactions. Many may do so at once. */
export async function expireRuns(store: ExpiryStore, expiryMs: number, signal: AbortSignal): Promise<number> {
  let total = 0;
  for (let count = batch; count === batch && !signal.aborted; total += count) {
    count = await store.expire(expiryMs, batch);
  }
  return total;
}
