import type { RunServiceCreateRequest, RunServiceCreateResponseSchema } from "@attestry/api/run";
import { apiPrincipal, uuidv7 } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { runMessage } from "../messages.ts";
import { startRun } from "../runs/start-run.ts";
import { looseNameRule, parseLine, parseName } from "../text.ts";

export async function createRun(
  context: AppContext,
  request: RunServiceCreateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof RunServiceCreateResponseSchema>> {
  const project = parseName(request.project, looseNameRule, "project");
  const workflow = parseName(request.workflow, looseNameRule, "workflow");
  const idempotencyKey = parseLine(request.idempotencyKey, 128, "idempotency_key") || null;
  const jobUrl = parseLine(request.jobUrl, 2_048, "job_url");
  const { organizationId } = apiPrincipal(call);
  const ids = { id: uuidv7(), newWorkflowId: uuidv7() };
  const { run, started } = await startRun(context.runs, {
    ...ids,
    ...{ organizationId, project, workflow, idempotencyKey, jobUrl },
  });
  if (started) context.telemetry.runStarted();
  return { run: runMessage(run) };
}
