import type { BackendProvider, BackendStatus } from "../backends/backend.ts";
import type { StorageMode, VerificationMode } from "../organizations/organization.ts";
import type { Run, RunEnd, RunPlan, RunState } from "../runs/run.ts";
import { digestText } from "./digests.ts";
import { type PolicyRow, policyColumns, readPolicySummary } from "./policy-columns.ts";
import { type RetentionRow, readRetentions } from "./retention-columns.ts";
import { readProjectVersion, type VersionRow, versionColumns } from "./version-rows.ts";

export interface RunRow extends VersionRow, PolicyRow {
  id: string;
  workflow_id: string;
  project: string;
  workflow: string;
  state: RunState;
  created_at: Date;
  finished_at: Date | null;
  attestation_digest: Buffer | null;
  backend_id: string;
  backend_name: string;
  reason: string;
  job_url: string;
  contract_revision: number;
  runner: string;
  block_on_policy_violation: boolean;
  token_id: string | null;
}

// The columns by name: a statement prepared with `*` would fail once a migration adds one.
const columns = `r.id, r.workflow_id, w.project, w.name as workflow, r.state, r.created_at, r.finished_at,
  r.attestation_digest, r.backend_id, b.name as backend_name, r.reason, r.job_url, r.contract_revision, r.runner,
  r.block_on_policy_violation, r.token_id, ${versionColumns("v")}, ${policyColumns("r")}`;

/** Joins what a run shows to rows of `run` that are called r. */
export function selectRunFrom(source: string): string {
  return `select ${columns}
from ${source}
join workflow w on w.organization_id = r.organization_id and w.id = r.workflow_id
join backend b on b.organization_id = r.organization_id and b.id = r.backend_id
left join project_version v on v.organization_id = r.organization_id and v.id = r.project_version_id`;
}

export const selectRun: string = selectRunFrom("run r");

export function readRun(row: RunRow): Run {
  return {
    id: row.id,
    workflowId: row.workflow_id,
    project: row.project,
    workflow: row.workflow,
    state: row.state,
    createdAt: row.created_at,
    finishedAt: row.finished_at,
    attestationDigest: digestText(row.attestation_digest),
    backendId: row.backend_id,
    backendName: row.backend_name,
    reason: row.reason,
    jobUrl: row.job_url,
    contractRevision: row.contract_revision,
    runner: row.runner,
    blockOnPolicyViolation: row.block_on_policy_violation,
    projectVersion: readProjectVersion(row),
    policySummary: readPolicySummary(row),
    tokenId: row.token_id,
  };
}

export interface EndRow {
  state: RunState;
  attestation_digest: Buffer | null;
}

/** What planText of run-batches.ts selects. */
export interface PlanRow extends EndRow, RetentionRow {
  run_id: string;
  organization_id: string;
  workflow_id: string;
  project: string;
  workflow: string;
  id: string;
  name: string;
  provider: BackendProvider;
  secret_ref: string;
  prefix: string;
  is_default: boolean;
  max_bytes: string;
  status: BackendStatus;
  validated_at: Date | null;
  validation_error: string;
  validation_notes: string[];
  uploads_since: Date | null;
  created_at: Date;
  organization: string;
  storage_mode: StorageMode | null;
  verification_mode: VerificationMode;
  trust_revision: number | null;
  plan_given_at: Date;
}

export function readEnd(id: string, row: EndRow): RunEnd {
  return { id, state: row.state, attestationDigest: digestText(row.attestation_digest) };
}

export function readPlan(row: PlanRow): RunPlan {
  return {
    run: { ...readEnd(row.run_id, row), workflowId: row.workflow_id, project: row.project, workflow: row.workflow },
    backend: {
      organizationId: row.organization_id,
      id: row.id,
      name: row.name,
      provider: row.provider,
      secretRef: row.secret_ref,
      prefix: row.prefix,
      isDefault: row.is_default,
      maxBytes: Number(row.max_bytes),
      status: row.status,
      validatedAt: row.validated_at,
      validationError: row.validation_error,
      validationNotes: row.validation_notes,
      uploadsSince: row.uploads_since,
      createdAt: row.created_at,
    },
    organization: row.organization,
    storageMode: row.storage_mode,
    verificationMode: row.verification_mode,
    trustRevision: row.trust_revision ?? 0,
    retention: readRetentions(row),
    planGivenAt: row.plan_given_at,
  };
}
