import { apiPrincipal, reasonOf } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  WorkflowContractServiceApplyResponse_ApplyStatus as ApplyStatus,
  type WorkflowContractServiceApplyRequest,
  type WorkflowContractServiceApplyResponseSchema,
} from "../../gen/controlplane/v1/workflow_contract_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { contractItem } from "../items/contract-item.ts";
import { asCaller } from "../native.ts";
import { agreedName, findContract, given } from "./contracts.ts";

type Answer = MessageInitShape<typeof WorkflowContractServiceApplyResponseSchema>;

/** Creates the contract that the text names, or makes the text its next revision. A dry run says which, and changes nothing. */
export async function applyContract(
  { native, reader }: ControlPlaneContext,
  { rawSchema, dryRun }: WorkflowContractServiceApplyRequest,
  call: HandlerContext,
): Promise<Answer> {
  const { organizationId } = apiPrincipal(call);
  const name = await agreedName(reader, { asked: "", text: rawSchema }, call);
  const found = await findContract(native, name, call);
  if (dryRun) {
    if (found === undefined) return { changed: true, status: ApplyStatus.CREATED };
    const contract = given(found.contract);
    const isSame = Buffer.compare(given(found.revision).text, rawSchema) === 0;
    return {
      ...outcome(isSame ? ApplyStatus.UNCHANGED : ApplyStatus.UPDATED),
      result: contractItem(contract, organizationId),
      currentRevision: contract.latestRevision,
    };
  }
  if (found === undefined) {
    const created = await native.contracts.create({ name, text: rawSchema }, asCaller(call)).catch(unlessThere);
    if (created !== undefined) {
      const contract = given(created.contract);
      return {
        ...outcome(ApplyStatus.CREATED),
        result: contractItem(contract, organizationId),
        currentRevision: contract.latestRevision,
      };
    }
  }
  const updated = await native.contracts.update({ name, text: rawSchema }, asCaller(call));
  const contract = given(updated.contract);
  return {
    ...outcome(updated.changed ? ApplyStatus.UPDATED : ApplyStatus.UNCHANGED),
    result: contractItem(contract, organizationId),
    currentRevision: contract.latestRevision,
  };
}

function outcome(status: ApplyStatus): Answer {
  const unchanged = status === ApplyStatus.UNCHANGED;
  return { status, unchanged, changed: !unchanged };
}

/** Another call has created it since it was looked for. */
function unlessThere(error: unknown): undefined {
  if (reasonOf(error) === "CONTRACT_EXISTS") return undefined;
  throw error;
}
