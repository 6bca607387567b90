import { checkMayStore, runNotFound } from "./lifecycle.ts";
import type { RunEnd } from "./run.ts";

export interface Completion {
  organizationId: string;
  runId: string;
  /** `sha256:<hex>`. */
  digest: string;
  planGivenAt: Date;
}

export interface CompletionStore {
  /** One conditional update. `run` is the run as it was before; undefined: there is none. */
  complete(completion: Completion): Promise<{ completed: boolean; run: RunEnd | undefined }>;
}

/**
 * Makes the run a success, whoever else acts on it at the same time; idempotent. Answers whether this call did it.
 * Throws RUN_NOT_FOUND and what checkMayStore throws.
 */
export async function completeRun(store: CompletionStore, completion: Completion): Promise<boolean> {
  for (;;) {
    const { completed, run } = await store.complete(completion);
    if (completed) return true;
    if (run === undefined) throw runNotFound(completion.runId);
    checkMayStore(run, completion.digest);
    if (run.state === "success") return false;
    // It was initialized when the statement began and was not when the update got to it: someone ended it in
    // between. Looking again shows how; states do not go back, so this happens once or twice at most.
  }
}
