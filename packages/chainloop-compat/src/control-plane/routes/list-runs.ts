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
import { asCaller, given, type Native } from "../native.ts";

const defaultPageSize = 10;

// What a newer client may ask is no filter.
const withViolations: ReadonlyMap<PolicyViolationsFilter, boolean> = new Map([
  [PolicyViolationsFilter.WITH_VIOLATIONS, true],
  [PolicyViolationsFilter.WITHOUT_VIOLATIONS, false],
]);
const withGates: ReadonlyMap<PolicyGatesFilter, boolean> = new Map([
  [PolicyGatesFilter.WITH_GATES, true],
  [PolicyGatesFilter.WITHOUT_GATES, false],
]);

/** Runs, newest first, with their workflows. The cursor is the native page token. */
export async function listRuns(
  { native }: ControlPlaneContext,
  asked: WorkflowRunServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowRunServiceListResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const request = asked.projectVersion === "" ? asked : await withVersionNamed(native, asked, call);
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

/** The same with the names of the version whose id it has. Without a project the name of a workflow says nothing, as ever. */
async function withVersionNamed(
  native: Native,
  request: WorkflowRunServiceListRequest,
  call: HandlerContext,
): Promise<WorkflowRunServiceListRequest> {
  const { projectVersion: id, projectName, projectVersionName } = request;
  const { project, version } = await native.projects.getVersion({ id }, asCaller(call));
  const named = given(version, "the version").version;
  const isOther = (asked: string, found: string) => asked !== "" && asked !== found;
  if (isOther(projectName, project) || isOther(projectVersionName, named)) {
    throw new DomainError(
      "PROJECT_VERSION_NOT_FOUND",
      `the version ${id} is ${JSON.stringify(named)} of the project ${project}`,
      { metadata: { id, project, version: named } },
    );
  }
  const workflowName = projectName === "" ? "" : request.workflowName;
  return { ...request, workflowName, projectName: project, projectVersionName: named };
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
  const { status, projectName, projectVersionName, policyStatus, policyViolations, policyGates } = request;
  const state = runStateOf(status);
  if (state === undefined) throw invalid(`invalid run status: ${status}`);
  if (projectVersionName !== "" && projectName === "")
    throw invalid("project_name must be set when project_version_name is set");
  return {
    ...(status !== RunStatus.UNSPECIFIED && { state }),
    projectVersion: projectVersionName,
    // The two enumerations have the same numbers.
    policyStatus: Number(policyStatus) as PolicyStatus,
    // The older filter says nothing beside the newer one.
    hasPolicyViolations: Number(policyStatus) === 0 ? withViolations.get(policyViolations) : undefined,
    hasPolicyGates: withGates.get(policyGates),
  };
}

function invalid(message: string): DomainError {
  return new DomainError("REQUEST_INVALID", message);
}
