import type { TokenServiceRevokeRequest, TokenServiceRevokeResponseSchema } from "@attestry/api/run";
import { apiPrincipal, isUuid } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { tokenMessage } from "../messages.ts";
import { looseNameRule, parseName } from "../text.ts";
import { callerActor, tokenNotFound } from "../tokens/token.ts";

export async function revokeToken(
  context: AppContext,
  request: TokenServiceRevokeRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof TokenServiceRevokeResponseSchema>> {
  const idOrName = isUuid(request.token) ? request.token : parseName(request.token, looseNameRule, "token");
  const caller = apiPrincipal(call);
  const actor = await callerActor(context.tokens, caller);
  const token = await context.tokens.revoke(caller.organizationId, idOrName, actor);
  if (token === null) throw tokenNotFound(idOrName);
  return { token: tokenMessage(token) };
}
