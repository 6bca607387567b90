import type { OrganizationServiceGetRequest, OrganizationServiceGetResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { organizationMessage } from "../messages.ts";
import { findOrganization } from "../organizations/find-organization.ts";

export async function getOrganization(
  context: AppContext,
  request: OrganizationServiceGetRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof OrganizationServiceGetResponseSchema>> {
  const organization = await findOrganization(context.organizations, apiPrincipal(call), request.name);
  return { organization: organizationMessage(organization) };
}
