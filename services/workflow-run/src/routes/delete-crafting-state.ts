import type { CraftingStateServiceDeleteRequest, CraftingStateServiceDeleteResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { runNotFound } from "../runs/lifecycle.ts";
import { parseRunId } from "../runs/run-id.ts";

export async function deleteCraftingState(
  context: AppContext,
  request: CraftingStateServiceDeleteRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof CraftingStateServiceDeleteResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const runId = parseRunId(request.runId);
  if ((await context.runs.find(organizationId, runId)) === null) throw runNotFound(runId);
  await context.craftingStates.delete(organizationId, runId);
  return {};
}
