import type { BackendServiceCreateRequest, BackendServiceCreateResponseSchema } from "@attestry/api/run";
import { apiPrincipal, DomainError, uuidv7 } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { backendAtSamePlace, mostBackends, parseMaxBytes, parsePrefix, parseSecretRef } from "../backends/backend.ts";
import type { AppContext } from "../context.ts";
import { backendMessage, parseEnum, providers } from "../messages.ts";
import { findOrganization } from "../organizations/find-organization.ts";
import { nameRule, parseName } from "../text.ts";
import { callerActor } from "../tokens/token.ts";

export async function createBackend(
  context: AppContext,
  request: BackendServiceCreateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof BackendServiceCreateResponseSchema>> {
  const caller = apiPrincipal(call);
  const name = parseName(request.name, nameRule, "name");
  const provider = parseEnum(providers, request.provider, "provider", "PROVIDER_INVALID");
  const secretRef = parseSecretRef(request.secretRef, provider);
  const prefix = parsePrefix(request.prefix, provider);
  const maxBytes = parseMaxBytes(request.maxBytes, provider);

  const organization = await findOrganization(context.organizations, caller, "");
  const made = await context.backends.create(
    {
      ...{ id: uuidv7(), organizationId: organization.id, name, provider, secretRef, prefix, maxBytes },
      isDefault: request.isDefault,
    },
    await callerActor(context.tokens, caller),
  );
  if (made === "exists")
    throw new DomainError("BACKEND_EXISTS", `there is a backend ${name} in this organization already`);
  if (made === "too many")
    throw new DomainError("BACKEND_LIMIT", `an organization has at most ${mostBackends} backends; delete one first`);
  if ("samePlaceAs" in made) throw backendAtSamePlace(made.samePlaceAs);
  const validated = await context.validator.validate(made, organization.name);
  return { backend: backendMessage(validated ?? made) };
}
