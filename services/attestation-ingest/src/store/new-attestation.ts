import { type Subject, subjectDigests } from "@attestry/bundle";
import type { BundleSummary } from "@attestry/bundle/pool";
import { timeOfId } from "@attestry/service-kit";
import type { Verification } from "../verification/verification.ts";
import type { NewAttestation } from "./attestation.ts";
import type { PlanRequest, StoragePlan } from "./plan.ts";

const shownSubjects = 100;
/** Of subjects and signer together, so that a page of 200 rows stays below a client's 4 MiB whatever a bundle contains. */
const shownBytes = 16 * 1024;

/** The row of an attestation that was received at the time of its id: who and where from the plan, what from the bundle. */
export function newAttestation(
  id: string,
  request: PlanRequest,
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
    workflowId: plan.workflowId,
    project: plan.project,
    workflow: plan.workflow,
    backendId: plan.backend.id,
    planGivenAt: plan.givenAt,
    mode: plan.mode,
    mediaType: bundle.mediaType,
    predicateType: bundle.statement.predicateType,
    subjects: firstSubjects(bundle.statement.subjects, shownBytes - signerBytes(verification)),
    subjectKeys: subjectDigests(bundle.statement),
    receivedAt: timeOfId(id),
    keepAtLeastSeconds: plan.keepAtLeastSeconds,
  };
}

/** At most 8 KiB: checkSignature and verifyTrusted refuse names of more than 4 KiB. */
function signerBytes({ signer, issuer }: Verification): number {
  return Buffer.byteLength(signer ?? "") + Buffer.byteLength(issuer ?? "");
}

function firstSubjects(subjects: readonly Subject[], mostBytes: number): Subject[] {
  let bytes = 0;
  return subjects.slice(0, shownSubjects).filter((subject) => {
    bytes += Buffer.byteLength(JSON.stringify(subject));
    return bytes <= mostBytes;
  });
}
