import type { PolicyStatus, RunServiceListRequestSchema, Workflow } from "@attestry/api/run";
import { apiPrincipal, DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { RunStatus } from "../../gen/controlplane/v1/run_item_pb.ts";
import {
  PolicyGatesFilter,
  PolicyViolationsFilter,
  type WorkflowRunServiceListRequest,
  type WorkflowRunServiceListResponseSchema,
} from "../../gen/controlplane/v1/workflow_run_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { findWorkflow } from "../find-workflow.ts";
import { runItem, runStateOf } from "../items/run-item.ts";
import { workflowOfRun } from "../items/workflow-item.ts";
import { asCaller, type Native } from "../native.ts";

const defaultPageSize = 10;

/** Runs, newest first, with their workflows. The cursor is the native page token. */
export async function listRuns(
  { native }: ControlPlaneContext,
  request: WorkflowRunServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowRunServiceListResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const { projectName: project, workflowName: name, pagination } = request;
  await checkAsked(native, request, call);
  const { runs, nextPageToken } = await native.runs.list(
    {
      project,
      // As the client's own server has it: without a project the name says nothing.
      workflow: project === "" ? "" : name,
      ...filters(request),
      pageSize: pagination?.limit || defaultPageSize,
      pageToken: pagination?.cursor ?? "",
    },
    asCaller(call),
  );
  const workflows = await workflowsOf(native, new Set(runs.map(({ workflowId }) => workflowId)), call);
  return {
    result: runs.map((run) => {
      const workflow = workflows.get(run.workflowId);
      return {
        ...runItem(run, workflow?.contractRevision),
        ...(workflow && { workflow: workflowOfRun(workflow, organizationId) }),
      };
    }),
    pagination: { nextCursor: nextPageToken },
  };
}

/** Of what is not there an error is told, and no empty page. */
async function checkAsked(
  native: Native,
  { projectName: project, workflowName: name, projectVersionName: version }: WorkflowRunServiceListRequest,
  call: HandlerContext,
): Promise<void> {
  if (project === "") return;
  if (version !== "") await native.projects.getVersion({ project, version }, asCaller(call));
  if (name !== "") {
    await findWorkflow(native, { project, name }, call);
    return;
  }
  const { workflows } = await native.workflows.list({ project, pageSize: 1 }, asCaller(call));
  if (workflows.length === 0)
    throw new DomainError("PROJECT_NOT_FOUND", "project not found", { metadata: { project } });
}

async function workflowsOf(native: Native, ids: Set<string>, call: HandlerContext): Promise<Map<string, Workflow>> {
  if (ids.size === 0) return new Map();
  const { workflows } = await native.workflows.list({ ids: [...ids], pageSize: ids.size }, asCaller(call));
  return new Map(workflows.map((workflow) => [workflow.id, workflow]));
}

function filters(request: WorkflowRunServiceListRequest): MessageInitShape<typeof RunServiceListRequestSchema> {
  const { status, projectName, projectVersion, projectVersionName, policyStatus, policyViolations, policyGates } =
    request;
  const state = runStateOf(status);
  if (state === undefined) throw invalid(`invalid run status: ${status}`);
  if (projectVersionName !== "" && projectName === "")
    throw invalid("project_name must be set when project_version_name is set");
  if (projectVersion !== "")
    throw invalid("project_version: versions are found by project_version_name here, and not by their id");
  return {
    ...(status !== RunStatus.UNSPECIFIED && { state }),
    projectVersion: projectVersionName,
    // The two enumerations have the same numbers.
    policyStatus: Number(policyStatus) as PolicyStatus,
    // The older filter says nothing beside the newer one.
    ...(Number(policyStatus) === 0 &&
      policyViolations !== PolicyViolationsFilter.UNSPECIFIED && {
        hasPolicyViolations: policyViolations === PolicyViolationsFilter.WITH_VIOLATIONS,
      }),
    ...(policyGates !== PolicyGatesFilter.UNSPECIFIED && {
      hasPolicyGates: policyGates === PolicyGatesFilter.WITH_GATES,
    }),
  };
}

function invalid(message: string): DomainError {
  return new DomainError("REQUEST_INVALID", message);
}
