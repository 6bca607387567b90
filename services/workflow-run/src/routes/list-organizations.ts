import type { OrganizationServiceListRequest, OrganizationServiceListResponseSchema } from "@attestry/api/run";
import { apiPrincipal, readPage } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { organizationMessage } from "../messages.ts";

export async function listOrganizations(
  context: AppContext,
  request: OrganizationServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof OrganizationServiceListResponseSchema>> {
  const { instanceAdmin, organizationId } = apiPrincipal(call);
  const scope = { kind: "organizations", filters: { organizationId: instanceAdmin ? undefined : organizationId } };
  const { rows, nextPageToken } = await readPage(request, scope, async (afterId, limit) => {
    if (instanceAdmin) return context.organizations.list(afterId, limit);
    const own = await context.organizations.find(organizationId);
    return own === null || afterId !== undefined ? [] : [own];
  });
  return { organizations: rows.map(organizationMessage), nextPageToken };
}
