import { CancelTrigger, type RunServiceCancelRequest, type RunServiceCancelResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { parseOptionalEnum, runMessage } from "../messages.ts";
import { checkCancelledAs, runNotFound } from "../runs/lifecycle.ts";
import { parseRunId } from "../runs/run-id.ts";
import { parseProse } from "../text.ts";
import { callerActor } from "../tokens/token.ts";

/** The state in which each trigger ends a run. */
const triggers = { cancelled: CancelTrigger.CANCELLATION, error: CancelTrigger.FAILURE } as const;

export async function cancelRun(
  context: AppContext,
  request: RunServiceCancelRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof RunServiceCancelResponseSchema>> {
  const caller = apiPrincipal(call);
  const { organizationId } = caller;
  const id = parseRunId(request.runId);
  const state = parseOptionalEnum(triggers, request.trigger, "trigger") ?? "cancelled";
  const reason = parseProse(request.reason, 1_024, "reason");
  const actor = await callerActor(context.tokens, caller);
  const ended = await context.runs.cancel(organizationId, id, { state, reason, actor });
  if (ended) context.telemetry.runsEnded(state);
  const run = await context.runs.find(organizationId, id);
  if (run === null) throw runNotFound(id);
  checkCancelledAs(run, state);
  return { run: runMessage(run) };
}
