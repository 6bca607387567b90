import type { ContractServiceListRequest, ContractServiceListResponseSchema } from "@attestry/api/run";
import { apiPrincipal, readPage } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { contractMessage } from "../messages.ts";
import { looseNameRule, parseName } from "../text.ts";

export async function listContracts(
  context: AppContext,
  request: ContractServiceListRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof ContractServiceListResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const project = request.project === "" ? undefined : parseName(request.project, looseNameRule, "project");
  const scope = { kind: "contracts", filters: { organizationId, project } };
  const { rows, nextPageToken } = await readPage(request, scope, (afterId, limit) =>
    context.contracts.list(organizationId, project, afterId, limit),
  );
  return { contracts: rows.map(contractMessage), nextPageToken };
}
