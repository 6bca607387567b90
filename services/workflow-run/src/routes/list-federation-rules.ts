import type { FederationServiceListRequest, FederationServiceListResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { federationRuleMessage } from "../messages.ts";

export async function listFederationRules(
  context: AppContext,
  _request: FederationServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof FederationServiceListResponseSchema>> {
  return { rules: (await context.federation.list(apiPrincipal(call).organizationId)).map(federationRuleMessage) };
}
