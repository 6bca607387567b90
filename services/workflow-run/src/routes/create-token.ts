import type { TokenServiceCreateRequest, TokenServiceCreateResponseSchema } from "@attestry/api/run";
import { apiPrincipal, DomainError, uuidv7 } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { parseEnum, roles, tokenMessage } from "../messages.ts";
import { findOrganization } from "../organizations/find-organization.ts";
import { looseNameRule, parseName } from "../text.ts";
import { signToken } from "../tokens/sign-token.ts";
import { callerActor, parseLifetime } from "../tokens/token.ts";

export async function createToken(
  context: AppContext,
  request: TokenServiceCreateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof TokenServiceCreateResponseSchema>> {
  const caller = apiPrincipal(call);
  const name = parseName(request.name, looseNameRule, "name");
  const role = parseEnum(roles, request.role, "role", "ROLE_INVALID");
  const expiresAt = parseLifetime(request.lifetimeSeconds);
  const organization = await findOrganization(context.organizations, caller, request.organization);
  const token = await context.tokens.create(
    {
      ...{ id: uuidv7(), organizationId: organization.id, name, role, expiresAt },
      instanceAdmin: false,
      federated: false,
      forChainloop: request.forChainloop,
    },
    await callerActor(context.tokens, caller),
  );
  if (token === null)
    throw new DomainError("TOKEN_EXISTS", `there is a token ${name} already; revoke it first, or take another name`);
  return { token: tokenMessage(token), secret: await signToken(context.keyring, organization, token) };
}
