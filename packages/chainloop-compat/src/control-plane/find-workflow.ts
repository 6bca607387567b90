import type { Workflow } from "@attestry/api/run";
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
