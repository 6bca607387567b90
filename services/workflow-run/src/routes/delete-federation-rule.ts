import type { FederationServiceDeleteRequest, FederationServiceDeleteResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { ruleNotFound } from "../federation/rule.ts";
import { nameRule, parseName } from "../text.ts";
import { callerActor } from "../tokens/token.ts";

export async function deleteFederationRule(
  context: AppContext,
  request: FederationServiceDeleteRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof FederationServiceDeleteResponseSchema>> {
  const caller = apiPrincipal(call);
  const name = parseName(request.name, nameRule, "name");
  const actor = await callerActor(context.tokens, caller);
  const deleted = await context.federation.delete(caller.organizationId, name, ({ id, issuer }, revoked) => ({
    ...{ actor, action: "federation.delete", resource: `federation rule ${id}` },
    detail: { name, issuer, revoked_tokens: String(revoked) },
  }));
  if (!deleted) throw ruleNotFound(name);
  return {};
}
