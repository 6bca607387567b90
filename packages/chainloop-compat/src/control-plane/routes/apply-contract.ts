import type { Contract } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  WorkflowContractServiceApplyResponse_ApplyStatus as ApplyStatus,
  type WorkflowContractServiceApplyRequest,
  type WorkflowContractServiceApplyResponseSchema,
} from "../../gen/controlplane/v1/workflow_contract_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { contractItem } from "../items/contract-item.ts";
import { asCaller, given, unless } from "../native.ts";
import { agreedContract } from "./agreed-contract.ts";
import { findContract } from "./contracts.ts";

type Answer = MessageInitShape<typeof WorkflowContractServiceApplyResponseSchema>;

/** Creates the contract that the text names, or makes the text its next revision. A dry run says which, and changes nothing. */
export async function applyContract(
  context: ControlPlaneContext,
  { rawSchema, dryRun }: WorkflowContractServiceApplyRequest,
  call: HandlerContext,
): Promise<Answer> {
  const { organizationId } = apiPrincipal(call);
  const { native } = context;
  const asked = { ...(await agreedContract(context, { name: "", text: rawSchema }, call)), text: rawSchema };
  const found = await findContract(native, asked.name, call);
  if (dryRun) {
    if (found === undefined) return { changed: true, status: ApplyStatus.CREATED };
    const isSame = Buffer.compare(given(found.revision, "the contract's revision").text, rawSchema) === 0;
    return answer(isSame ? ApplyStatus.UNCHANGED : ApplyStatus.UPDATED, found.contract, organizationId);
  }
  if (found === undefined) {
    // Another call may have created it since it was looked for.
    const created = await native.contracts.create(asked, asCaller(call)).catch(unless("CONTRACT_EXISTS"));
    if (created !== undefined) return answer(ApplyStatus.CREATED, created.contract, organizationId);
  }
  const { changed, contract } = await native.contracts.update(asked, asCaller(call));
  return answer(changed ? ApplyStatus.UPDATED : ApplyStatus.UNCHANGED, contract, organizationId);
}

function answer(status: ApplyStatus, made: Contract | undefined, organizationId: string): Answer {
  const contract = given(made, "the contract");
  const unchanged = status === ApplyStatus.UNCHANGED;
  return {
    ...{ status, unchanged, changed: !unchanged },
    result: contractItem(contract, organizationId),
    currentRevision: contract.latestRevision,
  };
}
