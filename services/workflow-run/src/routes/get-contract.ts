import type { ContractServiceGetRequest, ContractServiceGetResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { contractNameRule, parseRevision } from "../contracts/contract.ts";
import { contractAnswer } from "../messages.ts";
import { parseName } from "../text.ts";

export async function getContract(
  context: AppContext,
  request: ContractServiceGetRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof ContractServiceGetResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const name = parseName(request.name, contractNameRule, "name");
  const revision = parseRevision(request.revision, "revision");
  return contractAnswer(await context.contracts.get(organizationId, name, revision));
}
