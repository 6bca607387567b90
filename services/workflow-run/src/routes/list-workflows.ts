import type { WorkflowServiceListRequest, WorkflowServiceListResponseSchema } from "@attestry/api/run";
import { apiPrincipal, readPage } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { workflowMessage } from "../messages.ts";
import { looseNameRule, parseName } from "../text.ts";

export async function listWorkflows(
  context: AppContext,
  request: WorkflowServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowServiceListResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const project = request.project === "" ? undefined : parseName(request.project, looseNameRule, "project");
  const scope = { kind: "workflows", filters: { organizationId, project } };
  const { rows, nextPageToken } = await readPage(request, scope, (afterId, limit) =>
    context.workflows.list(organizationId, project, afterId, limit),
  );
  return { workflows: rows.map(workflowMessage), nextPageToken };
}
