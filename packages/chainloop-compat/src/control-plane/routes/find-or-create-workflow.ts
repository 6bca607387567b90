import type { WorkflowServiceFindOrCreateRequestSchema, WorkflowServiceFindOrCreateResponse } from "@attestry/api/run";
import { apiPrincipal, DomainError, reasonOf } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type {
  FindOrCreateWorkflowRequest,
  FindOrCreateWorkflowResponseSchema,
} from "../../gen/controlplane/v1/attestation_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { workflowItem } from "../items/workflow-item.ts";
import { asCaller } from "../native.ts";

/** A contract that comes along is the new workflow's, or the next revision of the one that the workflow has. */
export async function findOrCreateWorkflow(
  { native }: ControlPlaneContext,
  { workflowName, projectName, contractName, contractBytes }: FindOrCreateWorkflowRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof FindOrCreateWorkflowResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const asked = { project: projectName, name: workflowName, contract: contractName, contractText: contractBytes };
  const { workflow, created } = await withContract({ native }, asked, call);
  if (workflow === undefined) throw new Error("workflow-run answered without the workflow");
  if (!created && contractName !== "" && contractName !== workflow.contract) {
    throw new DomainError(
      "REQUEST_INVALID",
      `you can't change to another contract during the attestation process: the workflow has ${workflow.contract}, asked for ${contractName}`,
    );
  }
  if (!created && contractBytes.length > 0)
    await native.contracts.update({ name: workflow.contract, text: contractBytes }, asCaller(call));
  return { result: workflowItem(workflow, organizationId) };
}

type Asked = MessageInitShape<typeof WorkflowServiceFindOrCreateRequestSchema>;

/** A contract that is named and is not there is made, as one that asks for nothing. */
async function withContract(
  { native }: Pick<ControlPlaneContext, "native">,
  asked: Asked,
  call: HandlerContext,
): Promise<WorkflowServiceFindOrCreateResponse> {
  try {
    return await native.workflows.findOrCreate(asked, asCaller(call));
  } catch (error) {
    const { contract = "", project = "" } = asked;
    if (contract === "" || reasonOf(error) !== "CONTRACT_NOT_FOUND") throw error;
    await native.contracts.create({ name: contract, project }, asCaller(call)).catch(unlessThere);
    return native.workflows.findOrCreate(asked, asCaller(call));
  }
}

/** Another call has made it meanwhile; or it is of another project, which the next try says. */
function unlessThere(error: unknown): void {
  if (reasonOf(error) !== "CONTRACT_EXISTS") throw error;
}
