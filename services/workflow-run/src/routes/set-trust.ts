import type { TrustServiceSetRequest, TrustServiceSetResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { findOrganization } from "../organizations/find-organization.ts";
import { organizationNotFound } from "../organizations/organization.ts";
import { callerActor } from "../tokens/token.ts";
import { readTrustPolicy } from "../trust/read-trust-policy.ts";

export async function setTrust(
  context: AppContext,
  request: TrustServiceSetRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof TrustServiceSetResponseSchema>> {
  const caller = apiPrincipal(call);
  const { id, name } = await findOrganization(context.organizations, caller, request.organization);
  const policy = readTrustPolicy(request.policy);
  const actor = await callerActor(context.tokens, caller);
  const revision = await context.trust.set(id, policy, actor);
  if (revision === null) throw organizationNotFound(name);
  return { revision };
}
