import type { Workflow } from "@attestry/api/run";
import { DomainError } from "@attestry/service-kit";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { RunStatus } from "../gen/controlplane/v1/run_item_pb.ts";
import {
  WorkflowActivityWindow as Window,
  type WorkflowServiceListRequest,
} from "../gen/controlplane/v1/workflow_pb.ts";
import { CraftingSchema_Runner_RunnerType as RunnerType } from "../gen/workflowcontract/v1/workflowcontract_pb.ts";
import { runnerName, runStateOf } from "./items/run-item.ts";

const dayMs = 86_400_000;

const windowDays: Record<Window, number> = {
  [Window.UNSPECIFIED]: Number.POSITIVE_INFINITY,
  [Window.LAST_DAY]: 1,
  [Window.LAST_7_DAYS]: 7,
  [Window.LAST_30_DAYS]: 30,
};

/** Whether a workflow is among those asked for, projects aside. Throws on filters that are not known. */
export function matchesWorkflow(request: WorkflowServiceListRequest): (workflow: Workflow) => boolean {
  if (request.jsonFilters.length > 0)
    throw new DomainError("REQUEST_INVALID", "json_filters: workflows have no metadata here to filter by");
  const state = runStateOf(request.workflowRunLastStatus);
  if (state === undefined)
    throw new DomainError("REQUEST_INVALID", `invalid run status: ${request.workflowRunLastStatus}`);
  const byStatus = request.workflowRunLastStatus !== RunStatus.UNSPECIFIED;
  const byRunner = request.workflowRunRunnerType !== RunnerType.RUNNER_TYPE_UNSPECIFIED;
  const runner = runnerName(request.workflowRunRunnerType);
  const activeSince = Date.now() - (windowDays[request.workflowLastActivityWindow] ?? 0) * dayMs;
  return (workflow) =>
    matchesText(workflow, request) &&
    (!byStatus || workflow.lastRun?.state === state) &&
    (!byRunner || workflow.lastRun?.runner === runner) &&
    (activeSince === Number.NEGATIVE_INFINITY || lastActivityMs(workflow) >= activeSince);
}

/** Any one of the texts, as this client's own server has it; none: all. */
function matchesText(
  { name, team, description }: Workflow,
  { workflowName, workflowTeam, workflowDescription }: WorkflowServiceListRequest,
): boolean {
  const asked = [
    [name, workflowName],
    [team, workflowTeam],
    [description, workflowDescription],
  ].filter(([, text]) => text !== "");
  return asked.length === 0 || asked.some(([has = "", text = ""]) => has.includes(text));
}

function lastActivityMs({ lastRun }: Workflow): number {
  return lastRun?.createdAt === undefined ? Number.NEGATIVE_INFINITY : timestampMs(lastRun.createdAt);
}
