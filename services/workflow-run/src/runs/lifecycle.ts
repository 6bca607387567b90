import { DomainError, type Reason } from "@attestry/service-kit";
import type { RunEnd, RunState } from "./run.ts";

/** How each state but success keeps a run from ever having an attestation; undefined: it does not. */
const refusals: Record<Exclude<RunState, "success">, { reason: Reason; words: string } | undefined> = {
  initialized: undefined,
  cancelled: { reason: "RUN_CANCELLED", words: "was cancelled" },
  error: { reason: "RUN_FAILED", words: "failed" },
  expired: { reason: "RUN_EXPIRED", words: "expired before an attestation was stored" },
};

/**
 * Passes if the run may have the attestation with this digest: it has not ended, or ended with just that one.
 * Throws RUN_CANCELLED, RUN_FAILED, RUN_EXPIRED or RUN_HAS_OTHER_ATTESTATION.
 */
export function checkMayStore(run: RunEnd, digest: string): void {
  if (run.state !== "success") checkMayUpload(run);
  else if (run.attestationDigest !== digest) throw otherAttestation(run, digest);
}

function otherAttestation(run: RunEnd, digest: string): DomainError {
  return new DomainError(
    "RUN_HAS_OTHER_ATTESTATION",
    `run ${run.id} has the attestation ${run.attestationDigest}; came ${digest}`,
    { metadata: { expected: run.attestationDigest ?? "", actual: digest } },
  );
}

/** Passes if the run has not ended. Throws RUN_CANCELLED, RUN_FAILED, RUN_EXPIRED or RUN_FINISHED. */
export function checkMayUpload(run: RunEnd): void {
  if (run.state === "success") throw finished(run);
  const refusal = refusals[run.state];
  if (refusal !== undefined) throw ended(run, refusal.reason, refusal.words);
}

/** Passes if a cancellation to this state has nothing left to do. Throws RUN_FINISHED. */
export function checkCancelledAs(run: RunEnd, wanted: RunState): void {
  if (run.state !== wanted) throw finished(run);
}

function finished(run: RunEnd): DomainError {
  return ended(run, "RUN_FINISHED", `has already ended as ${run.state}`);
}

function ended(run: RunEnd, reason: Reason, words: string): DomainError {
  return new DomainError(reason, `run ${run.id} ${words}; expected one that is initialized`, {
    metadata: { expected: "initialized", actual: run.state },
  });
}

/** The error for a run that is not there, or is of another organization: the two look the same. */
export function runNotFound(id: string): DomainError {
  return new DomainError("RUN_NOT_FOUND", `there is no run ${id} in this organization`, { metadata: { run: id } });
}
