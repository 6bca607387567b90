import { PolicyStatus, type PolicySummary, type ProjectVersion, type Run, RunState } from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import {
  type PolicyStatusSummary,
  PolicyStatusSummarySchema,
  ProjectVersionSchema,
  RunStatus,
  type ProjectVersion as VersionItem,
  type WorkflowRunItem,
  WorkflowRunItemSchema,
} from "../../gen/controlplane/v1/run_item_pb.ts";
import {
  CraftingSchema_Runner_RunnerType as RunnerType,
  CraftingSchema_Runner_RunnerTypeSchema as RunnerTypeSchema,
} from "../../gen/workflowcontract/v1/workflowcontract_pb.ts";

/** The client's word and number for each state. */
const states: ReadonlyMap<RunState, { state: string; status: RunStatus }> = new Map([
  [RunState.UNSPECIFIED, { state: "", status: RunStatus.UNSPECIFIED }],
  [RunState.INITIALIZED, { state: "initialized", status: RunStatus.INITIALIZED }],
  [RunState.SUCCESS, { state: "success", status: RunStatus.SUCCEEDED }],
  [RunState.ERROR, { state: "error", status: RunStatus.FAILED }],
  [RunState.CANCELLED, { state: "canceled", status: RunStatus.CANCELLED }],
  [RunState.EXPIRED, { state: "expired", status: RunStatus.EXPIRED }],
]);

/** The native state of a status to filter by; undefined for one that is not known. */
export function runStateOf(status: RunStatus): RunState | undefined {
  return [...states].find(([, one]) => one.status === status)?.[0];
}

/**
 * A run by itself, without its workflow and contract.
 * @param latestRevision Of the workflow's contract; absent: as when the run began.
 */
export function runItem(run: Run, latestRevision: number = run.contractRevision): WorkflowRunItem {
  const { id, createdAt, finishedAt, reason, jobUrl, runner, contractRevision, projectVersion } = run;
  return create(WorkflowRunItemSchema, {
    ...states.get(run.state),
    ...{ id, reason, jobUrl },
    ...(createdAt && { createdAt }),
    ...(finishedAt && { finishedAt }),
    runnerType: runnerTypeOf(runner),
    contractRevisionUsed: contractRevision,
    contractRevisionLatest: latestRevision,
    ...(projectVersion && { version: versionItem(projectVersion) }),
    ...policyFields(run),
  });
}

function versionItem(version: ProjectVersion): VersionItem {
  const { id, version: name, prerelease, createdAt, releasedAt, latest } = version;
  return create(ProjectVersionSchema, {
    ...{ id, version: name, prerelease, latest },
    ...(createdAt && { createdAt }),
    ...(releasedAt && { releasedAt }),
  });
}

/** Only of a run that has an attestation; one that says nothing of policies had none to apply. */
function policyFields({ state, policySummary }: Run): {
  hasPolicyViolations?: boolean;
  policySummary?: PolicyStatusSummary;
} {
  if (state !== RunState.SUCCESS) return {};
  return {
    hasPolicyViolations: (policySummary?.violated ?? 0) > 0,
    policySummary: summaryItem(policySummary),
  };
}

/** The two enumerations of statuses have the same numbers. */
export function summaryItem(summary: PolicySummary | undefined): PolicyStatusSummary {
  if (summary === undefined) return create(PolicyStatusSummarySchema, { status: PolicyStatus.NOT_APPLICABLE });
  const { status, total, passed, skipped, violated, hasGates, suppressed } = summary;
  return create(PolicyStatusSummarySchema, { status, total, passed, skipped, violated, hasGates, suppressed });
}

/** What the native API keeps of a runner: the name of the type, nothing for none. */
export function runnerName(type: RunnerType): string {
  if (type === RunnerType.RUNNER_TYPE_UNSPECIFIED) return "";
  return RunnerTypeSchema.value[type]?.name ?? "";
}

function runnerTypeOf(name: string): RunnerType {
  const known = RunnerTypeSchema.values.find((value) => value.name === name);
  return (known?.number ?? RunnerType.RUNNER_TYPE_UNSPECIFIED) as RunnerType;
}
