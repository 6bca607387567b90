import type { Workflow, WorkflowServiceFindOrCreateRequestSchema } from "@attestry/api/run";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { asCaller, given, type Native, unless } from "./native.ts";

/** Throws WORKFLOW_NOT_FOUND, NAME_INVALID. */
export async function findWorkflow(
  native: Native,
  name: { project: string; name: string },
  call: HandlerContext,
): Promise<Workflow> {
  const { workflow } = await native.workflows.get(name, asCaller(call));
  return given(workflow, "the workflow");
}

type Asked = MessageInitShape<typeof WorkflowServiceFindOrCreateRequestSchema>;

/**
 * Finds or creates a workflow. A contract that is named and is not there is made, as one that asks for nothing.
 * @param described What `contractText` says that the contract is; it becomes the description of one made from it.
 */
export async function findOrCreate(
  native: Native,
  asked: Asked,
  described: { description?: string },
  call: HandlerContext,
): Promise<{ workflow: Workflow; created: boolean }> {
  const { contract = "", project = "" } = asked;
  const first = native.workflows.findOrCreate(asked, asCaller(call));
  let answer = contract === "" ? await first : await first.catch(unless("CONTRACT_NOT_FOUND"));
  if (answer === undefined) {
    // Another call may have made it meanwhile; or it is of another project, which the next try says.
    await native.contracts.create({ name: contract, project }, asCaller(call)).catch(unless("CONTRACT_EXISTS"));
    answer = await native.workflows.findOrCreate(asked, asCaller(call));
  }
  const workflow = given(answer.workflow, "the workflow");
  const { description } = described;
  if (answer.created && description !== undefined)
    await describeContract(native, { name: workflow.contract, text: asked.contractText, description }, call);
  return { workflow, created: answer.created };
}

/** Leaves one alone that was there before, with another text: the workflow has it as it is. */
async function describeContract(
  native: Native,
  { name, text = new Uint8Array(), description }: { name: string; text?: Uint8Array | undefined; description: string },
  call: HandlerContext,
): Promise<void> {
  const { revision } = await native.contracts.get({ name }, asCaller(call));
  if (Buffer.compare(given(revision, "the contract's revision").text, text) !== 0) return;
  await native.contracts.update({ name, description }, asCaller(call));
}
