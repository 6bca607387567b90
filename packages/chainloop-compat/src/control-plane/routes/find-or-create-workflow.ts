import { apiPrincipal, DomainError } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type {
  FindOrCreateWorkflowRequest,
  FindOrCreateWorkflowResponseSchema,
} from "../../gen/controlplane/v1/attestation_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { findOrCreate } from "../find-workflow.ts";
import { workflowItem } from "../items/workflow-item.ts";
import { asCaller } from "../native.ts";
import { descriptionToKeep } from "./agreed-contract.ts";

/** A contract that comes along is the new workflow's, or the next revision of the one that the workflow has. */
export async function findOrCreateWorkflow(
  { native, reader }: ControlPlaneContext,
  { workflowName, projectName, contractName, contractBytes }: FindOrCreateWorkflowRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof FindOrCreateWorkflowResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const asked = { project: projectName, name: workflowName, contract: contractName, contractText: contractBytes };
  const described = descriptionToKeep(await reader.newContract(contractBytes, call.signal));
  const { workflow, created } = await findOrCreate(native, asked, described, call);
  if (!created && contractName !== "" && contractName !== workflow.contract) {
    throw new DomainError(
      "REQUEST_INVALID",
      `you can't change to another contract during the attestation process: the workflow has ${workflow.contract}, asked for ${contractName}`,
    );
  }
  if (!created && contractBytes.length > 0)
    await native.contracts.update({ ...described, name: workflow.contract, text: contractBytes }, asCaller(call));
  return { result: workflowItem(workflow, organizationId) };
}
