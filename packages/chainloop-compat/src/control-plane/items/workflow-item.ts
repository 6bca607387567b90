import type { Workflow } from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import { v5 as uuidv5 } from "uuid";
import { type WorkflowItem, WorkflowItemSchema } from "../../gen/controlplane/v1/run_item_pb.ts";
import { runItem } from "./run-item.ts";

/** A workflow with its last run and contract. */
export function workflowItem(workflow: Workflow, organizationId: string): WorkflowItem {
  const { contract, contractRevision, lastRun } = workflow;
  return {
    ...workflowOfRun(workflow, organizationId),
    contractName: contract,
    contractRevisionLatest: contractRevision,
    // Of the version its run is of, the client is told where it sees the run.
    ...(lastRun && { lastRun: { ...runItem(lastRun, contractRevision), version: undefined } }),
  };
}

/** A workflow as it stands within a run. */
export function workflowOfRun(workflow: Workflow, organizationId: string): WorkflowItem {
  const { id, name, project, team, description, runCount, createdAt } = workflow;
  return create(WorkflowItemSchema, {
    ...{ id, name, project, team, description },
    projectId: projectIdOf(organizationId, project),
    runsCount: runCount,
    ...(createdAt && { createdAt }),
  });
}

/** Projects have names here, and no ids; the client shows one (RFC 9562, version 5, in the space of the organization). */
export function projectIdOf(organizationId: string, project: string): string {
  return uuidv5(project, organizationId);
}
