import type { BackendServiceListRequest, BackendServiceListResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { backendMessage } from "../messages.ts";

export async function listBackends(
  context: AppContext,
  _request: BackendServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof BackendServiceListResponseSchema>> {
  const backends = await context.backends.list(apiPrincipal(call).organizationId);
  return { backends: backends.map(backendMessage) };
}
