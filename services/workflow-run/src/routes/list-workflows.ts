import type { WorkflowServiceListRequest, WorkflowServiceListResponseSchema } from "@attestry/api/run";
import { apiPrincipal, DomainError, parseUuid, readPage } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { workflowMessage } from "../messages.ts";
import { looseNameRule, parseName } from "../text.ts";

const mostIds = 200;

export async function listWorkflows(
  context: AppContext,
  request: WorkflowServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowServiceListResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const project = request.project === "" ? undefined : parseName(request.project, looseNameRule, "project");
  const ids = parseIds(request.ids);
  const scope = { kind: "workflows", filters: { organizationId, project, ids: ids?.join() } };
  const { rows, nextPageToken } = await readPage(request, scope, (afterId, limit) =>
    context.workflows.list({ organizationId, project, ids }, afterId, limit),
  );
  return { workflows: rows.map(workflowMessage), nextPageToken };
}

/** Undefined: all. */
function parseIds(ids: string[]): string[] | undefined {
  if (ids.length <= mostIds)
    return ids.length === 0 ? undefined : ids.map((id) => parseUuid(id, "REQUEST_INVALID", "ids"));
  throw new DomainError("REQUEST_INVALID", `ids must be at most ${mostIds}; came ${ids.length}`, {
    metadata: { expected: `at most ${mostIds}`, actual: String(ids.length) },
  });
}
