import type { WorkflowServiceGetRequest, WorkflowServiceGetResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { workflowMessage } from "../messages.ts";
import { looseNameRule, parseName } from "../text.ts";
import { workflowNotFound } from "../workflows/workflow.ts";

export async function getWorkflow(
  context: AppContext,
  request: WorkflowServiceGetRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowServiceGetResponseSchema>> {
  const project = parseName(request.project, looseNameRule, "project");
  const name = parseName(request.name, looseNameRule, "name");
  const workflow = await context.workflows.find(apiPrincipal(call).organizationId, project, name);
  if (workflow === null) throw workflowNotFound(project, name);
  return { workflow: workflowMessage(workflow) };
}
