import type { ContractServiceUpdateRequest, ContractServiceUpdateResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { contractNameRule, contractNotFound, longestDescription } from "../contracts/contract.ts";
import { contractAnswer } from "../messages.ts";
import { parseName, parseProse } from "../text.ts";
import { callerActor } from "../tokens/token.ts";

export async function updateContract(
  context: AppContext,
  request: ContractServiceUpdateRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof ContractServiceUpdateResponseSchema>> {
  const caller = apiPrincipal(call);
  const { organizationId } = caller;
  const name = parseName(request.name, contractNameRule, "name");
  const { description, text } = request;
  const change = {
    description: description === undefined ? undefined : parseProse(description, longestDescription, "description"),
    text: text === undefined ? undefined : await context.contractReader.read(text, "text"),
  };
  const actor = await callerActor(context.tokens, caller);
  const updated = await context.contracts.update(organizationId, name, change, actor);
  if (updated === null) throw contractNotFound(name);
  const { revision, changed } = updated;
  return { ...contractAnswer(await context.contracts.get(organizationId, name, revision)), changed };
}
