import type { CraftingStateServiceGetRequest, CraftingStateServiceGetResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { stateNotFound } from "../runs/crafting-state.ts";
import { runNotFound } from "../runs/lifecycle.ts";
import { parseRunId } from "../runs/run-id.ts";

export async function getCraftingState(
  context: AppContext,
  request: CraftingStateServiceGetRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof CraftingStateServiceGetResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const runId = parseRunId(request.runId);
  const found = await context.craftingStates.find(organizationId, runId);
  if (found !== null) return found;
  throw (await context.runs.find(organizationId, runId)) === null ? runNotFound(runId) : stateNotFound(runId);
}
