import { type Contract, ContractFormat, type ContractRevision } from "@attestry/api/run";
import { create, fromBinary } from "@bufbuild/protobuf";
import {
  WorkflowContractVersionItem_RawBody_Format as Format,
  type WorkflowContractItem,
  WorkflowContractItemSchema,
  type WorkflowContractVersionItem,
  WorkflowContractVersionItemSchema,
} from "../../gen/controlplane/v1/workflow_contract_pb.ts";
import { CraftingSchemaSchema } from "../../gen/workflowcontract/v1/workflowcontract_pb.ts";
import type { ReadContract } from "../reading/task.ts";
import { projectIdOf } from "./workflow-item.ts";

const formats: ReadonlyMap<ContractFormat, Format> = new Map([
  [ContractFormat.UNSPECIFIED, Format.UNSPECIFIED],
  [ContractFormat.JSON, Format.JSON],
  [ContractFormat.YAML, Format.YAML],
]);

export function contractItem(contract: Contract, organizationId: string): WorkflowContractItem {
  const { id, name, project, description, latestRevision, workflows } = contract;
  const { createdAt, updatedAt, latestRevisionCreatedAt } = contract;
  return create(WorkflowContractItemSchema, {
    ...{ id, name, description, latestRevision },
    ...(createdAt && { createdAt }),
    ...(updatedAt && { updatedAt }),
    ...(latestRevisionCreatedAt && { latestRevisionCreatedAt }),
    workflowNames: workflows.map((workflow) => workflow.name),
    workflowRefs: workflows.map(({ id, name, project: projectName }) => ({ id, name, projectName })),
    ...(project !== "" && {
      scopedEntity: { type: "project", id: projectIdOf(organizationId, project), name: project },
    }),
  });
}

/**
 * One revision, with its text and what the text says.
 * @param contract Names it where the client shows the name.
 */
export function contractRevisionItem(
  { id, revision, createdAt, text, format }: ContractRevision,
  read: ReadContract,
  contract?: Pick<Contract, "name" | "description">,
): WorkflowContractVersionItem {
  return create(WorkflowContractVersionItemSchema, {
    ...{ id, revision },
    ...(createdAt && { createdAt }),
    // There in any case, since the client writes into it without asking.
    contract: { case: "v1", value: fromBinary(CraftingSchemaSchema, read.schema) },
    rawContract: { body: text, format: formats.get(format) ?? Format.UNSPECIFIED },
    ...(contract && { contractName: contract.name, description: read.description || contract.description }),
  });
}
