import type { RunServiceGetRequest, RunServiceGetResponseSchema } from "@attestry/api/run";
import { parseDigest } from "@attestry/bundle";
import { apiPrincipal, DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { runMessage } from "../messages.ts";
import { runNotFound } from "../runs/lifecycle.ts";
import type { Run } from "../runs/run.ts";
import { parseRunId } from "../runs/run-id.ts";

export async function getRun(
  context: AppContext,
  request: RunServiceGetRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof RunServiceGetResponseSchema>> {
  return { run: runMessage(await findRun(context, apiPrincipal(call).organizationId, request.by)) };
}

async function findRun(context: AppContext, organizationId: string, by: RunServiceGetRequest["by"]): Promise<Run> {
  switch (by.case) {
    case "runId": {
      const run = await context.runs.find(organizationId, parseRunId(by.value));
      if (run === null) throw runNotFound(by.value);
      return run;
    }
    case "digest": {
      const run = await context.runs.findByDigest(organizationId, parseDigest(by.value));
      if (run === null)
        throw new DomainError("RUN_NOT_FOUND", `no run in this organization has the attestation ${by.value}`);
      return run;
    }
    default:
      throw new DomainError("REQUEST_INVALID", "give run_id or digest; came neither");
  }
}
