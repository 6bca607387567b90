import type { BackendServiceValidateRequest, BackendServiceValidateResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { backendNotFound } from "../backends/backend.ts";
import type { AppContext } from "../context.ts";
import { backendMessage } from "../messages.ts";
import { nameRule, parseName } from "../text.ts";

export async function validateBackend(
  context: AppContext,
  request: BackendServiceValidateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof BackendServiceValidateResponseSchema>> {
  const { organizationId, organization } = apiPrincipal(call);
  const name = parseName(request.name, nameRule, "name");
  const present = await context.backends.findByName(organizationId, name);
  if (present === null) throw backendNotFound(name);
  const validated = await context.validator.validate(present, organization);
  if (validated === null) throw backendNotFound(name);
  return { backend: backendMessage(validated) };
}
