import type { WorkflowServiceFindOrCreateRequest, WorkflowServiceFindOrCreateResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { workflowMessage } from "../messages.ts";
import { findOrganization } from "../organizations/find-organization.ts";
import { looseNameRule, parseName } from "../text.ts";

export async function findOrCreateWorkflow(
  context: AppContext,
  request: WorkflowServiceFindOrCreateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowServiceFindOrCreateResponseSchema>> {
  const project = parseName(request.project, looseNameRule, "project");
  const name = parseName(request.name, looseNameRule, "name");
  const organization = await findOrganization(context.organizations, apiPrincipal(call), "");
  const { workflow, created } = await context.workflows.findOrCreate(organization.id, project, name);
  return { workflow: workflowMessage(workflow), created };
}
