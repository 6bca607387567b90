import { BackendProvider, type RunServiceGetStoragePlanResponse } from "@attestry/api/run";
import type { Digest } from "@attestry/bundle";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Attestations } from "../db/attestations.ts";
import { durationSeconds } from "../duration-seconds.ts";
import type { RunPeer } from "../run-peer.ts";
import { type VerificationPlan, verificationPlan } from "../verification/plan.ts";
import type { Mode, StoredAttestation } from "./attestation.ts";
import { decideMode, type SkipDatabase } from "./mode.ts";
import { sameBytes } from "./same-bytes.ts";

/** Where and how the attestation of a run is to be kept. */
export interface StoragePlan {
  mode: Mode;
  backend: { id: string; name: string; kind: "inline" | "external" };
  /** For this digest and size; empty when the backend is inline. */
  casToken: string;
  givenAt: Date;
  workflowId: string;
  project: string;
  workflow: string;
  /** Promised by the organization's retention; 0: no promise, or a workflow-run that knows of none yet. */
  keepAtLeastSeconds: number;
  verification: VerificationPlan;
}

export interface PlanRequest {
  organizationId: string;
  runId: string;
  digest: Digest;
  sizeBytes: number;
}

export interface PlanContext {
  run: RunPeer;
  attestations: Attestations;
  config: { skipDatabase: SkipDatabase };
}

/**
 * What is stored for the run already, or else the plan to store it. Both are asked for at once, to save a round trip;
 * what is stored decides: a retry is OK even when the run would get no plan any more.
 * Throws RUN_HAS_OTHER_ATTESTATION if it is of other bytes, and what GetStoragePlan throws.
 */
export async function findStoredOrPlan(
  context: PlanContext,
  request: PlanRequest,
  signal: AbortSignal,
): Promise<{ stored: StoredAttestation } | { plan: StoragePlan }> {
  const planning = Promise.allSettled([context.run.plan(request, signal)]);
  const stored = await context.attestations.stored(request);
  if (stored !== undefined) return { stored: sameBytes(stored, request.digest) };

  const [planned] = await planning;
  if (planned.status === "rejected") throw planned.reason;
  return { plan: planOf(planned.value, context.config.skipDatabase) };
}

function planOf(response: RunServiceGetStoragePlanResponse, setting: SkipDatabase): StoragePlan {
  if (response.planGivenAt === undefined) throw new Error("GetStoragePlan answered without plan_given_at");
  const kind = response.backendProvider === BackendProvider.INLINE ? "inline" : "external";
  return {
    mode: decideMode(kind, setting, response.storageMode),
    backend: { id: response.backendId, name: response.backendName, kind },
    casToken: response.casToken,
    givenAt: timestampDate(response.planGivenAt),
    workflowId: response.workflowId,
    project: response.project,
    workflow: response.workflow,
    keepAtLeastSeconds: durationSeconds(response.keepAtLeast),
    verification: verificationPlan(response),
  };
}
