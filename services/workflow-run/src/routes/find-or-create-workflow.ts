import type { WorkflowServiceFindOrCreateRequest, WorkflowServiceFindOrCreateResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { contractNameRule, longestDescription } from "../contracts/contract.ts";
import { workflowMessage } from "../messages.ts";
import { findOrganization } from "../organizations/find-organization.ts";
import { looseNameRule, parseLine, parseName, parseProse } from "../text.ts";
import { callerActor } from "../tokens/token.ts";

export async function findOrCreateWorkflow(
  context: AppContext,
  request: WorkflowServiceFindOrCreateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof WorkflowServiceFindOrCreateResponseSchema>> {
  const project = parseName(request.project, looseNameRule, "project");
  const name = parseName(request.name, looseNameRule, "name");
  const description = parseProse(request.description, longestDescription, "description");
  const team = parseLine(request.team, 128, "team");
  const contract = request.contract === "" ? "" : parseName(request.contract, contractNameRule, "contract");
  const { contractText } = request;
  const text = contractText.length === 0 ? null : await context.contractReader.read(contractText, "contract_text");
  const caller = apiPrincipal(call);
  const { id: organizationId } = await findOrganization(context.organizations, caller, "");
  const { workflow, created } = await context.workflows.findOrCreate(
    { organizationId, project, name, description, team, contract, contractText: text },
    () => callerActor(context.tokens, caller),
  );
  return { workflow: workflowMessage(workflow), created };
}
