import type { OrganizationServiceGetRequest, OrganizationServiceGetResponseSchema } from "@attestry/api/run";
import { apiPrincipal, DomainError, parseUuid, principal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { organizationMessage } from "../messages.ts";
import { findOrganization } from "../organizations/find-organization.ts";
import { type Organization, organizationNotFound } from "../organizations/organization.ts";

/** OrganizationService.Get: by name for clients, by id for services. */
export async function getOrganization(
  context: AppContext,
  { id, name }: OrganizationServiceGetRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof OrganizationServiceGetResponseSchema>> {
  if (principal(call).kind === "service") return { organization: organizationMessage(await findById(context, id)) };
  if (id !== "") {
    throw new DomainError("REQUEST_INVALID", "id is for services; name the organization instead", {
      metadata: { expected: "no id", actual: id.slice(0, 80) },
    });
  }
  return { organization: organizationMessage(await findOrganization(context.organizations, apiPrincipal(call), name)) };
}

async function findById({ organizations }: AppContext, id: string): Promise<Organization> {
  const found = await organizations.find(parseUuid(id, "REQUEST_INVALID", "id"));
  if (found === null) throw organizationNotFound(id);
  return found;
}
