import type { ContractServiceCreateRequest, ContractServiceCreateResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { contractExists, contractNameRule, longestDescription } from "../contracts/contract.ts";
import { contractAnswer } from "../messages.ts";
import { looseNameRule, parseName, parseProse } from "../text.ts";
import { callerActor } from "../tokens/token.ts";

export async function createContract(
  context: AppContext,
  request: ContractServiceCreateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof ContractServiceCreateResponseSchema>> {
  const caller = apiPrincipal(call);
  const { organizationId } = caller;
  const name = parseName(request.name, contractNameRule, "name");
  const project = request.project === "" ? "" : parseName(request.project, looseNameRule, "project");
  const description = parseProse(request.description, longestDescription, "description");
  const text = request.text.length === 0 ? null : await context.contractReader.read(request.text, "text");
  const actor = await callerActor(context.tokens, caller);
  const created = await context.contracts.create({ organizationId, name, project, description, text }, actor);
  if (!created) throw contractExists(name);
  return contractAnswer(await context.contracts.get(organizationId, name, 0));
}
