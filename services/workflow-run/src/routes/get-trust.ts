import type { TrustServiceGetRequest, TrustServiceGetResponseSchema } from "@attestry/api/run";
import { apiPrincipal, DomainError, parseUuid, principal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { trustMessage } from "../messages.ts";
import { findOrganization } from "../organizations/find-organization.ts";
import { trustNotFound } from "../trust/trust-policy.ts";

/** TrustService.Get: by the organization's name for clients, by its id for services. */
export async function getTrust(
  context: AppContext,
  request: TrustServiceGetRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof TrustServiceGetResponseSchema>> {
  const organizationId = await organizationOf(context, request, call);
  const { revision } = request;
  if (revision < 0) throw new DomainError("REQUEST_INVALID", `revision must be at least 0; came ${revision}`);
  const found = await context.trust.find(organizationId, revision);
  if (found === null) throw trustNotFound(revision);
  return trustMessage(found);
}

async function organizationOf(
  { organizations }: AppContext,
  { organization, organizationId }: TrustServiceGetRequest,
  call: HandlerContext,
): Promise<string> {
  if (principal(call).kind === "service") return parseUuid(organizationId, "REQUEST_INVALID", "organization_id");
  if (organizationId !== "") {
    throw new DomainError("REQUEST_INVALID", "organization_id is for services; name the organization instead", {
      metadata: { expected: "no organization_id", actual: organizationId.slice(0, 80) },
    });
  }
  return (await findOrganization(organizations, apiPrincipal(call), organization)).id;
}
