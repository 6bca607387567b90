import type { OrganizationServiceCreateRequest, OrganizationServiceCreateResponseSchema } from "@attestry/api/run";
import { DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AppContext } from "../context.ts";
import { organizationMessage, parseOptionalEnum, storageModes, verificationModes } from "../messages.ts";
import { nameRule, parseName } from "../text.ts";
import { trustNotSet } from "../trust/trust-policy.ts";

export async function createOrganization(
  context: AppContext,
  request: OrganizationServiceCreateRequest,
): Promise<MessageInitShape<typeof OrganizationServiceCreateResponseSchema>> {
  const name = parseName(request.name, nameRule, "name");
  const storageMode = parseOptionalEnum(storageModes, request.storageMode, "storage_mode") ?? null;
  const verificationMode = parseOptionalEnum(verificationModes, request.verificationMode, "verification_mode");
  if (verificationMode === "trusted") throw trustNotSet(name);
  const organization = await context.organizations.create(name, storageMode, verificationMode);
  if (organization === null) throw new DomainError("ORGANIZATION_EXISTS", `there is an organization ${name} already`);
  return { organization: organizationMessage(organization) };
}
