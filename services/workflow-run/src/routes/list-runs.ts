import type { RunServiceListRequest, RunServiceListResponseSchema } from "@attestry/api/run";
import { apiPrincipal, DomainError, firstIdAt, parseTime, readPage } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { listRuns as listStoredRuns } from "../db/run-list.ts";
import { parseOptionalEnum, runMessage, runStates } from "../messages.ts";
import { policyStatuses } from "../policy-messages.ts";
import { longestVersion } from "../projects/project-version.ts";
import type { RunFilter } from "../runs/run.ts";
import { looseNameRule, parseLine, parseName } from "../text.ts";

export async function listRuns(
  context: AppContext,
  request: RunServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof RunServiceListResponseSchema>> {
  const filter = parseFilter(apiPrincipal(call).organizationId, request);
  const scope = { kind: "runs", filters: { ...filter } };
  const { rows, nextPageToken } = await readPage(request, scope, (afterId, limit) =>
    listStoredRuns(context.database.pool, filter, afterId, limit),
  );
  return { runs: rows.map(runMessage), nextPageToken };
}

function parseFilter(organizationId: string, request: RunServiceListRequest): RunFilter {
  if (request.workflow !== "" && request.project === "") {
    throw new DomainError(
      "REQUEST_INVALID",
      "the filter workflow needs project: a workflow is named within its project",
    );
  }
  if (request.projectVersion !== "" && request.project === "") {
    throw new DomainError("REQUEST_INVALID", "the filter project_version needs project: a version is of its project");
  }
  const version = parseLine(request.projectVersion, longestVersion, "project_version");
  return {
    organizationId,
    project: request.project === "" ? undefined : parseName(request.project, looseNameRule, "project"),
    workflow: request.workflow === "" ? undefined : parseName(request.workflow, looseNameRule, "workflow"),
    state: parseOptionalEnum(runStates, request.state, "state"),
    fromId: idBound(request.createdAfter, "created_after"),
    beforeId: idBound(request.createdBefore, "created_before"),
    projectVersion: version === "" ? undefined : version,
    policyStatus: parseOptionalEnum(policyStatuses, request.policyStatus, "policy_status"),
    hasPolicyViolations: request.hasPolicyViolations,
    hasPolicyGates: request.hasPolicyGates,
  };
}

/** Runs created at or after the time have ids at or above the bound. */
function idBound(time: Timestamp | undefined, what: string): string | undefined {
  return time && firstIdAt(parseTime(time, what));
}
