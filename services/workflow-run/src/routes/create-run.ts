import type { RunProjectVersion, RunServiceCreateRequest, RunServiceCreateResponseSchema } from "@attestry/api/run";
import { apiPrincipal, uuidv7 } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { parseRevision } from "../contracts/contract.ts";
import { runMessage } from "../messages.ts";
import { longestVersion } from "../projects/project-version.ts";
import type { WantedVersion } from "../runs/run.ts";
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
  const contractRevision = parseRevision(request.contractRevision, "contract_revision");
  const runner = parseLine(request.runner, 64, "runner");
  const version = request.projectVersion === undefined ? null : parseVersion(request.projectVersion);
  const { organizationId, tokenId } = apiPrincipal(call);
  const ids = { id: uuidv7(), newWorkflowId: uuidv7() };
  const { run, started } = await startRun(context.runs, {
    ...ids,
    ...{ organizationId, tokenId, project, workflow, idempotencyKey, jobUrl, contractRevision, runner, version },
  });
  if (started) context.telemetry.runStarted();
  return { run: runMessage(run) };
}

function parseVersion({ version, mustExist, markLatest }: RunProjectVersion): WantedVersion {
  return {
    version: parseLine(version, longestVersion, "project_version.version"),
    mustExist,
    markLatest: markLatest ?? null,
    newId: uuidv7(),
  };
}
