import type { PolicyStatus, PolicySummary } from "@attestry/bundle";
import type { Backend } from "../backends/backend.ts";
import type { StorageMode, VerificationMode } from "../organizations/organization.ts";
import type { Retentions } from "../organizations/retention.ts";

export type RunState = "initialized" | "success" | "error" | "cancelled" | "expired";

export interface Run {
  id: string;
  workflowId: string;
  project: string;
  workflow: string;
  state: RunState;
  createdAt: Date;
  finishedAt: Date | null;
  /** `sha256:<hex>`; null until the run is a success. */
  attestationDigest: string | null;
  backendId: string;
  backendName: string;
  reason: string;
  jobUrl: string;
  /** What its attestation says of policies; null: nothing, or it has none. */
  policySummary: PolicySummary | null;
}

/** A run as far as its end is concerned. */
export type RunEnd = Pick<Run, "id" | "state" | "attestationDigest">;

/** What Create is given, checked. */
export interface NewRun {
  organizationId: string;
  id: string;
  project: string;
  workflow: string;
  /** Id of the workflow, if there is none yet. */
  newWorkflowId: string;
  /** Null: the call is not repeated. */
  idempotencyKey: string | null;
  jobUrl: string;
}

export interface RunFilter {
  organizationId: string;
  project: string | undefined;
  workflow: string | undefined;
  state: RunState | undefined;
  /** Lowest id, included. */
  fromId: string | undefined;
  /** Lowest id that is too great. */
  beforeId: string | undefined;
  policyStatus: PolicyStatus | undefined;
  hasPolicyViolations: boolean | undefined;
  hasPolicyGates: boolean | undefined;
}

/** A run with all that decides where its attestation is kept. */
export interface RunPlan {
  run: RunEnd & Pick<Run, "workflowId" | "project" | "workflow">;
  backend: Backend;
  organization: string;
  storageMode: StorageMode | null;
  retention: Retentions;
  verificationMode: VerificationMode;
  /** Of the organization's trust policy; 0: none was set. */
  trustRevision: number;
  planGivenAt: Date;
}
