import type { RunServiceCompleteRequest, RunServiceCompleteResponseSchema } from "@attestry/api/run";
import { parseDigest } from "@attestry/bundle";
import { DomainError, parseTime, parseUuid } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AppContext } from "../context.ts";
import { readPolicySummary } from "../policy-messages.ts";
import { completeRun as complete } from "../runs/complete-run.ts";
import { parseRunId } from "../runs/run-id.ts";

export async function completeRun(
  context: AppContext,
  request: RunServiceCompleteRequest,
): Promise<MessageInitShape<typeof RunServiceCompleteResponseSchema>> {
  const organizationId = parseUuid(request.organizationId, "REQUEST_INVALID", "organization_id");
  const runId = parseRunId(request.runId);
  const digest = parseDigest(request.digest);
  if (request.planGivenAt === undefined)
    throw new DomainError("REQUEST_INVALID", "plan_given_at must be the one of the plan; came nothing");
  const planGivenAt = new Date(parseTime(request.planGivenAt, "plan_given_at"));
  const policySummary = readPolicySummary(request.policySummary);
  const completed = await complete(context.runs, { organizationId, runId, digest, planGivenAt, policySummary });
  if (completed) context.telemetry.runsEnded("success");
  return {};
}
