import type { BackendServiceGetRequest, BackendServiceGetResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { backendNotFound } from "../backends/backend.ts";
import type { AppContext } from "../context.ts";
import { backendMessage } from "../messages.ts";
import { nameRule, parseName } from "../text.ts";

export async function getBackend(
  context: AppContext,
  request: BackendServiceGetRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof BackendServiceGetResponseSchema>> {
  const name = parseName(request.name, nameRule, "name");
  const backend = await context.backends.findByName(apiPrincipal(call).organizationId, name);
  if (backend === null) throw backendNotFound(name);
  return { backend: backendMessage(backend) };
}
