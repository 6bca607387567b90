import type { Digest } from "@attestry/bundle";
import { DomainError } from "@attestry/service-kit";
import type { StoredAttestation } from "./attestation.ts";

/** The row, if it is of these bytes. Throws RUN_HAS_OTHER_ATTESTATION: a run has one attestation. */
export function sameBytes(stored: StoredAttestation, digest: Digest): StoredAttestation {
  if (stored.digest === digest) return stored;
  throw new DomainError(
    "RUN_HAS_OTHER_ATTESTATION",
    `run ${stored.runId} has the attestation ${stored.digest}; came ${digest}`,
    { metadata: { expected: stored.digest, actual: digest } },
  );
}
