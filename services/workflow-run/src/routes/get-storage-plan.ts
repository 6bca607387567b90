import type { RunServiceGetStoragePlanRequest, RunServiceGetStoragePlanResponseSchema } from "@attestry/api/run";
import { parseDigest } from "@attestry/bundle";
import { DomainError, parseUuid } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { bundleUploadClaims } from "../backends/cas-tokens.ts";
import type { AppContext } from "../context.ts";
import { durationOf, providers, storageModeOf, verificationModes } from "../messages.ts";
import { checkMayStore, runNotFound } from "../runs/lifecycle.ts";
import type { RunPlan } from "../runs/run.ts";
import { parseRunId } from "../runs/run-id.ts";

/**
 * The backend's status is not looked at: in the modes that keep bundles in the database first, Store goes on while
 * the CAS is down, and in the other mode the upload itself finds out.
 */
export async function getStoragePlan(
  context: AppContext,
  request: RunServiceGetStoragePlanRequest,
): Promise<MessageInitShape<typeof RunServiceGetStoragePlanResponseSchema>> {
  const organizationId = parseUuid(request.organizationId, "REQUEST_INVALID", "organization_id");
  const runId = parseRunId(request.runId);
  const digest = parseDigest(request.digest);
  if (request.sizeBytes < 1n)
    throw new DomainError("REQUEST_INVALID", `size_bytes must be at least 1; came ${request.sizeBytes}`);

  const plan = await context.runs.plan({ organizationId, id: runId });
  if (plan === null) throw runNotFound(runId);
  checkMayStore(plan.run, digest);
  const { run, backend } = plan;
  return {
    backendId: backend.id,
    backendName: backend.name,
    backendProvider: providers[backend.provider],
    casToken: await uploadToken(context, plan, { digest, sizeBytes: Number(request.sizeBytes) }),
    storageMode: storageModeOf(plan.storageMode),
    verificationMode: verificationModes[plan.verificationMode],
    trustRevision: plan.trustRevision,
    planGivenAt: timestampFromDate(plan.planGivenAt),
    workflowId: run.workflowId,
    project: run.project,
    workflow: run.workflow,
    ...durationOf("keepAtLeast", plan.retention.attestations.atLeastSeconds),
  };
}

async function uploadToken(
  context: AppContext,
  plan: RunPlan,
  bundle: { digest: string; sizeBytes: number },
): Promise<string> {
  const { backend, organization, retention } = plan;
  if (backend.provider === "inline") return "";
  const claims = bundleUploadClaims(
    { organizationId: backend.organizationId, organization, retention },
    backend,
    bundle,
  );
  context.telemetry.casTokenIssued(claims.role);
  return (await context.keyring.issueCasToken(claims)).token;
}
