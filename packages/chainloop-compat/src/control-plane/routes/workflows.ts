import type { Workflow } from "@attestry/api/run";
import { apiPrincipal, DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type {
  WorkflowServiceCreateRequest,
  WorkflowServiceCreateResponseSchema,
  WorkflowServiceListRequest,
  WorkflowServiceListResponseSchema,
  WorkflowServiceViewRequest,
  WorkflowServiceViewResponseSchema,
} from "../../gen/controlplane/v1/workflow_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { findOrCreate, findWorkflow } from "../find-workflow.ts";
import { workflowItem } from "../items/workflow-item.ts";
import { asCaller, type Native } from "../native.ts";
import { matchesWorkflow } from "../workflow-filter.ts";
import { descriptionToKeep } from "./agreed-contract.ts";

const defaultPageSize = 15;
const largestPage = 200;
/** This client counts pages, which needs all that match. Whoever has more names a project. */
const mostWorkflows = 10_000;
const mostProjects = 100;

export async function createWorkflow(
  { native, reader }: ControlPlaneContext,
  { name, projectName, contractName, contractBytes, team, description }: WorkflowServiceCreateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowServiceCreateResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const asked = { project: projectName, name, team, description };
  const contract = { contract: contractName, contractText: contractBytes };
  const described = descriptionToKeep(await reader.newContract(contractBytes, call.signal));
  const { workflow, created } = await findOrCreate(native, { ...asked, ...contract }, described, call);
  if (!created)
    throw new DomainError("WORKFLOW_EXISTS", `workflow "${name}" in project "${projectName}" already exists`);
  return { result: workflowItem(workflow, organizationId) };
}

export async function viewWorkflow(
  { native }: ControlPlaneContext,
  { name, projectName }: WorkflowServiceViewRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowServiceViewResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const workflow = await findWorkflow(native, { project: projectName, name }, call);
  return { result: workflowItem(workflow, organizationId) };
}

export async function listWorkflows(
  { native }: ControlPlaneContext,
  request: WorkflowServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowServiceListResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const page = request.pagination?.page || 1;
  const pageSize = request.pagination?.pageSize || defaultPageSize;
  if (page < 1 || pageSize < 1 || pageSize > largestPage) {
    throw new DomainError(
      "REQUEST_INVALID",
      `pagination: expected a page from 1 and a page size from 1 to ${largestPage}, got ${page} and ${pageSize}`,
    );
  }
  if (request.projectNames.length > mostProjects)
    throw new DomainError(
      "REQUEST_INVALID",
      `project_names: at most ${mostProjects}; came ${request.projectNames.length}`,
    );
  const matching = (await allWorkflows(native, request.projectNames, call)).filter(matchesWorkflow(request));
  return {
    result: matching.slice((page - 1) * pageSize, page * pageSize).map((one) => workflowItem(one, organizationId)),
    pagination: {
      ...{ page, pageSize },
      totalCount: matching.length,
      totalPages: Math.ceil(matching.length / pageSize),
    },
  };
}

/** Newest first; of several projects each by itself. */
async function allWorkflows(native: Native, projects: string[], call: HandlerContext): Promise<Workflow[]> {
  const all: Workflow[] = [];
  for (const project of projects.length === 0 ? [""] : new Set(projects)) {
    let pageToken = "";
    do {
      const answer = await native.workflows.list({ project, pageSize: largestPage, pageToken }, asCaller(call));
      all.push(...answer.workflows);
      if (all.length > mostWorkflows)
        throw new DomainError(
          "REQUEST_INVALID",
          `there are more than ${mostWorkflows} workflows; ask for those of one project`,
        );
      pageToken = answer.nextPageToken;
    } while (pageToken !== "");
  }
  return all;
}
