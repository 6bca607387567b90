import type { PolicyStatus, PolicySummary } from "@attestry/bundle";
import type { Backend } from "../backends/backend.ts";
import type { StorageMode, VerificationMode } from "../organizations/organization.ts";
import type { Retentions } from "../organizations/retention.ts";
import type { ProjectVersion } from "../projects/project-version.ts";

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
  /** Of the workflow's contract when the run began; 0: it was not noted. */
  contractRevision: number;
  runner: string;
  /** The organization's when the run began. */
  blockOnPolicyViolation: boolean;
  /** Null: it is of no version. */
  projectVersion: ProjectVersion | null;
  /** What its attestation says of policies; null: nothing, or it has none. */
  policySummary: PolicySummary | null;
  /** Of the API token that started it; null: a build did that did not keep it. */
  tokenId: string | null;
}

/** A run as far as its end is concerned. */
export type RunEnd = Pick<Run, "id" | "state" | "attestationDigest">;

/** What Create is given, checked. */
export interface NewRun {
  organizationId: string;
  id: string;
  /** Of the caller's API token. */
  tokenId: string;
  project: string;
  workflow: string;
  /** Id of the workflow, if there is none yet. */
  newWorkflowId: string;
  /** Null: the call is not repeated. */
  idempotencyKey: string | null;
  jobUrl: string;
  /** One that the contract has; 0: the latest. */
  contractRevision: number;
  runner: string;
  /** Null: the run is of none. */
  version: WantedVersion | null;
}

/** The version of its project that a run is to be of. */
export interface WantedVersion {
  /** Empty: the latest. */
  version: string;
  mustExist: boolean;
  /** Null: the latest if it is new. */
  markLatest: boolean | null;
  /** Id of the version, if there is none yet. */
  newId: string;
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
  /** Of the project's versions; needs project. */
  projectVersion: string | undefined;
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
