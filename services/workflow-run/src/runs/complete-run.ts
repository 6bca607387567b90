import type { Digest, PolicySummary } from "@attestry/bundle";
import { checkMayStore, runNotFound } from "./lifecycle.ts";
import type { RunEnd } from "./run.ts";

export interface Completion {
  organizationId: string;
  runId: string;
  digest: Digest;
  planGivenAt: Date;
  /** What the attestation says of policies; null: nothing. */
  policySummary: PolicySummary | null;
}

/** Whether the call made the run a success, and the run as it is now; undefined: there is none. */
export interface Completed {
  completed: boolean;
  run: RunEnd | undefined;
}

export interface CompletionStore {
  /** One conditional update. */
  complete(completion: Completion): Promise<Completed>;
}

/**
 * Makes the run a success, whoever else acts on it at the same time; idempotent. Answers whether this call did it.
 * Throws RUN_NOT_FOUND and what checkMayStore throws.
 */
export async function completeRun(store: CompletionStore, completion: Completion): Promise<boolean> {
  const { completed, run } = await store.complete(completion);
  if (run === undefined) throw runNotFound(completion.runId);
  checkMayStore(run, completion.digest);
  return completed;
}
