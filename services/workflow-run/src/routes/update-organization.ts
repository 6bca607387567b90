import type { OrganizationServiceUpdateRequest, OrganizationServiceUpdateResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { organizationMessage, parseOptionalEnum, storageModes } from "../messages.ts";
import { findOrganization } from "../organizations/find-organization.ts";

export async function updateOrganization(
  context: AppContext,
  request: OrganizationServiceUpdateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof OrganizationServiceUpdateResponseSchema>> {
  const present = await findOrganization(context.organizations, apiPrincipal(call), request.name);
  if (request.storageMode === undefined) return { organization: organizationMessage(present) };
  const storageMode = parseOptionalEnum(storageModes, request.storageMode, "storage_mode") ?? null;
  const organization = await context.organizations.setStorageMode(present.id, storageMode);
  return { organization: organizationMessage(organization ?? present) };
}
