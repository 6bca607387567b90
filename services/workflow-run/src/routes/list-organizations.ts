import type { OrganizationServiceListRequest, OrganizationServiceListResponseSchema } from "@attestry/api/run";
import { type Principal, principal, readPage } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { organizationMessage } from "../messages.ts";

/** OrganizationService.List: all for an instance admin and for the other services, which sweep by organization; else the caller's own. */
export async function listOrganizations(
  context: AppContext,
  request: OrganizationServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof OrganizationServiceListResponseSchema>> {
  const organizationId = ownOf(principal(call));
  const scope = { kind: "organizations", filters: { organizationId } };
  const { rows, nextPageToken } = await readPage(request, scope, async (afterId, limit) => {
    if (organizationId === undefined) return context.organizations.list(afterId, limit);
    const own = await context.organizations.find(organizationId);
    return own === null || afterId !== undefined ? [] : [own];
  });
  return { organizations: rows.map(organizationMessage), nextPageToken };
}

/** The one organization that the caller may see; undefined: all. */
function ownOf(caller: Principal): string | undefined {
  if (caller.kind === "cas") throw new Error("the access table let in a CAS token");
  return caller.kind === "service" || caller.instanceAdmin ? undefined : caller.organizationId;
}
