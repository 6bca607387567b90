import type { CraftingStateServiceSaveRequest, CraftingStateServiceSaveResponseSchema } from "@attestry/api/run";
import { type Digest, digestOf, parseDigest } from "@attestry/bundle";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { largestStateBytes, stateChanged, stateTooLarge } from "../runs/crafting-state.ts";
import { checkMayUpload, runNotFound } from "../runs/lifecycle.ts";
import { parseRunId } from "../runs/run-id.ts";

export async function saveCraftingState(
  context: AppContext,
  { runId: runIdText, state, baseDigest }: CraftingStateServiceSaveRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof CraftingStateServiceSaveResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const runId = parseRunId(runIdText);
  const base = baseDigest === "" ? undefined : parseDigest(baseDigest);
  if (state.length > largestStateBytes) throw stateTooLarge(state.length);
  const digest = digestOf(state);
  if (await context.craftingStates.save(organizationId, runId, { state, digest, base })) return { digest };
  throw await whyNot(context, { organizationId, runId, base });
}

async function whyNot(
  { runs, craftingStates }: AppContext,
  { organizationId, runId, base }: { organizationId: string; runId: string; base: Digest | undefined },
): Promise<Error> {
  const run = await runs.find(organizationId, runId);
  if (run === null) return runNotFound(runId);
  checkMayUpload(run);
  const present = await craftingStates.find(organizationId, runId);
  if (base === undefined)
    return new Error(`the crafting state of run ${runId} was not saved, and nothing is in its way`);
  return stateChanged(runId, base, present?.digest);
}
