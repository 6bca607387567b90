import type {
  Workflow,
  WorkflowServiceFindOrCreateRequestSchema,
  WorkflowServiceFindOrCreateResponse,
} from "@attestry/api/run";
import { reasonOf } from "@attestry/service-kit";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { asCaller, type Native } from "./native.ts";

/** Throws WORKFLOW_NOT_FOUND, NAME_INVALID. */
export async function findWorkflow(
  native: Native,
  name: { project: string; name: string },
  call: HandlerContext,
): Promise<Workflow> {
  const { workflow } = await native.workflows.get(name, asCaller(call));
  if (workflow === undefined) throw new Error("workflow-run answered without the workflow");
  return workflow;
}

type Asked = MessageInitShape<typeof WorkflowServiceFindOrCreateRequestSchema>;

/** Finds or creates a workflow. A contract that is named and is not there is made, as one that asks for nothing. */
export async function findOrCreate(
  native: Native,
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
