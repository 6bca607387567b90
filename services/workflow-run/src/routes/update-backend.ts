import type { BackendServiceUpdateRequest, BackendServiceUpdateResponseSchema } from "@attestry/api/run";
import { apiPrincipal, DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { backendAtSamePlace, backendNotFound, parseMaxBytes, parseSecretRef } from "../backends/backend.ts";
import type { AppContext } from "../context.ts";
import { backendMessage } from "../messages.ts";
import { nameRule, parseName } from "../text.ts";
import { callerActor } from "../tokens/token.ts";

export async function updateBackend(
  context: AppContext,
  request: BackendServiceUpdateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof BackendServiceUpdateResponseSchema>> {
  const caller = apiPrincipal(call);
  const { organizationId, organization } = caller;
  const name = parseName(request.name, nameRule, "name");
  if (request.isDefault === false) {
    throw new DomainError(
      "REQUEST_INVALID",
      "is_default can only be set to true; make another backend the default instead",
    );
  }
  const present = await context.backends.findByName(organizationId, name);
  if (present === null) throw backendNotFound(name);
  const { secretRef, maxBytes } = request;
  const change = {
    secretRef: secretRef === undefined ? undefined : parseSecretRef(secretRef, present.provider),
    maxBytes: maxBytes === undefined ? undefined : parseMaxBytes(maxBytes, present.provider),
    makeDefault: request.isDefault === true,
  };
  const actor = await callerActor(context.tokens, caller);
  const updated = await context.backends.update(organizationId, present.id, change, actor);
  if (updated === null) throw backendNotFound(name);
  if ("samePlaceAs" in updated) throw backendAtSamePlace(updated.samePlaceAs);
  if (secretRef === undefined) return { backend: backendMessage(updated) };
  const validated = await context.validator.validate(updated, organization);
  return { backend: backendMessage(validated ?? updated) };
}
