import { type BundleSummary, firstSubjects, SHOWN_BYTES } from "@attestry/bundle";
import { timeOfId } from "@attestry/service-kit";
import type { Verification } from "../verification/verification.ts";
import type { NewAttestation } from "./attestation.ts";
import type { PlanRequest, StoragePlan } from "./plan.ts";

/** The row of an attestation that was received at the time of its id: who and where from the plan, what from the bundle. */
export function newAttestation(
  id: string,
  request: PlanRequest & { tokenId: string },
  plan: StoragePlan,
  bundle: BundleSummary,
  verification: Verification,
): NewAttestation {
  return {
    id,
    ...verification,
    organizationId: request.organizationId,
    runId: request.runId,
    digest: request.digest,
    sizeBytes: request.sizeBytes,
    tokenId: request.tokenId,
    workflowId: plan.workflowId,
    project: plan.project,
    workflow: plan.workflow,
    backendId: plan.backend.id,
    planGivenAt: plan.givenAt,
    mode: plan.mode,
    mediaType: bundle.mediaType,
    predicateType: bundle.predicateType,
    // With the signer, so that a page of 200 rows stays below a client's 4 MiB whatever a bundle contains.
    subjects: firstSubjects(bundle.subjects, SHOWN_BYTES - signerBytes(verification)),
    subjectKeysJson: bundle.subjectKeysJson,
    policySummary: bundle.policies ?? null,
    materialKeysJson: bundle.materialKeysJson,
    receivedAt: timeOfId(id),
    keepAtLeastSeconds: plan.keepAtLeastSeconds,
  };
}

/** At most 8 KiB: checkSignature and verifyTrusted refuse names of more than 4 KiB. */
function signerBytes({ signer, issuer }: Verification): number {
  return Buffer.byteLength(signer ?? "") + Buffer.byteLength(issuer ?? "");
}
