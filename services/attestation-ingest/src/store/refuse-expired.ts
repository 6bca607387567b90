import { DomainError } from "@attestry/service-kit";
import type { StoredAttestation } from "./attestation.ts";

/** Throws ATTESTATION_EXPIRED if retention hides the row: it can be brought back for `graceMs`, but not by storing it. */
export function refuseExpired({ runId, expiredAt }: StoredAttestation, graceMs: number): void {
  if (expiredAt === null) return;
  const hidden = expiredAt.toISOString();
  const deletedAfter = new Date(expiredAt.getTime() + graceMs).toISOString();
  throw new DomainError(
    "ATTESTATION_EXPIRED",
    `the attestation of run ${runId} is past the organization's retention: hidden since ${hidden}, deleted after ${deletedAfter}; until then a higher at_most brings it back`,
    { metadata: { hidden_since: hidden, deleted_after: deletedAfter } },
  );
}
