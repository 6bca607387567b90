import { apiPrincipal } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type {
  AttestationServiceGetContractRequest,
  AttestationServiceGetContractResponseSchema,
} from "../../gen/controlplane/v1/attestation_pb.ts";
import type { ControlPlaneContext } from "../context.ts";
import { findWorkflow } from "../find-workflow.ts";
import { contractRevisionItem } from "../items/contract-item.ts";
import { workflowItem } from "../items/workflow-item.ts";
import { asCaller, given } from "../native.ts";

/** The contract of a workflow, at one of its revisions. */
export async function getContract(
  { native, reader }: ControlPlaneContext,
  { workflowName, projectName, contractRevision }: AttestationServiceGetContractRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof AttestationServiceGetContractResponseSchema>> {
  const { organizationId } = apiPrincipal(call);
  const workflow = await findWorkflow(native, { project: projectName, name: workflowName }, call);
  const asked = { name: workflow.contract, revision: contractRevision };
  const found = await native.contracts.get(asked, asCaller(call));
  const revision = given(found.revision, "the contract's revision");
  return {
    result: {
      workflow: workflowItem(workflow, organizationId),
      contract: contractRevisionItem(revision, await reader.contract(revision.text, call.signal)),
    },
  };
}
