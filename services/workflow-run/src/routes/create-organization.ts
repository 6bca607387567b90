import type { OrganizationServiceCreateRequest, OrganizationServiceCreateResponseSchema } from "@attestry/api/run";
import { apiPrincipal, DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { organizationMessage, parseOptionalEnum, storageModes, verificationModes } from "../messages.ts";
import { nameRule, parseName } from "../text.ts";
import { callerActor } from "../tokens/token.ts";
import { trustNotSet } from "../trust/trust-policy.ts";

export async function createOrganization(
  context: AppContext,
  request: OrganizationServiceCreateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof OrganizationServiceCreateResponseSchema>> {
  const name = parseName(request.name, nameRule, "name");
  const storageMode = parseOptionalEnum(storageModes, request.storageMode, "storage_mode") ?? null;
  const verificationMode = parseOptionalEnum(verificationModes, request.verificationMode, "verification_mode");
  if (verificationMode === "trusted") throw trustNotSet(name);
  const actor = await callerActor(context.tokens, apiPrincipal(call));
  const organization = await context.organizations.create(name, actor, { storageMode, verificationMode });
  if (organization === null) throw new DomainError("ORGANIZATION_EXISTS", `there is an organization ${name} already`);
  return { organization: organizationMessage(organization) };
}
