import type { OrganizationServiceUpdateRequest, OrganizationServiceUpdateResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { organizationMessage, parseEnum, parseOptionalEnum, storageModes, verificationModes } from "../messages.ts";
import { findOrganization } from "../organizations/find-organization.ts";
import { organizationNotFound } from "../organizations/organization.ts";
import type { OrganizationChange } from "../organizations/organization-change.ts";
import { parseRetention } from "../organizations/retention.ts";
import { callerActor } from "../tokens/token.ts";

export async function updateOrganization(
  context: AppContext,
  request: OrganizationServiceUpdateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof OrganizationServiceUpdateResponseSchema>> {
  const caller = apiPrincipal(call);
  const present = await findOrganization(context.organizations, caller, request.name);
  const change = parseChange(request);
  const actor = await callerActor(context.tokens, caller);
  const organization = await context.organizations.update(present.id, change, actor);
  if (organization === null) throw organizationNotFound(present.name);
  return { organization: organizationMessage(organization) };
}

function parseChange(request: OrganizationServiceUpdateRequest): OrganizationChange {
  const { storageMode, attestationRetention, materialRetention, verificationMode, blockOnPolicyViolation } = request;
  return {
    storageMode:
      storageMode === undefined ? undefined : (parseOptionalEnum(storageModes, storageMode, "storage_mode") ?? null),
    attestations: attestationRetention && parseRetention(attestationRetention, "attestation_retention"),
    materials: materialRetention && parseRetention(materialRetention, "material_retention"),
    verificationMode:
      verificationMode === undefined ? undefined : parseEnum(verificationModes, verificationMode, "verification_mode"),
    blockOnPolicyViolation,
  };
}
