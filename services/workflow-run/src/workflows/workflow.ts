import { DomainError } from "@attestry/service-kit";
import type { ContractText } from "../contracts/contract.ts";
import type { Run } from "../runs/run.ts";

export interface Workflow {
  id: string;
  project: string;
  name: string;
  createdAt: Date;
  description: string;
  team: string;
  /** Its name. */
  contract: string;
  /** The contract's latest. */
  contractRevision: number;
  /** Up to mostCountedRuns. */
  runCount: number;
  /** The newest, in whatever state. */
  lastRun: Run | undefined;
}

/** What FindOrCreate is given, checked. */
export interface NewWorkflow {
  organizationId: string;
  project: string;
  name: string;
  description: string;
  team: string;
  /** The name of its contract; empty: one of its own. */
  contract: string;
  /** Of a contract that is not there yet; null: one that asks for nothing. */
  contractText: ContractText | null;
}

/** Stands for that many runs or more: nobody reads a longer number, and to count on would take longer with each. */
export const mostCountedRuns = 10_000;

export function workflowNotFound(project: string, name: string): DomainError {
  return new DomainError("WORKFLOW_NOT_FOUND", `there is no workflow ${project}/${name} in this organization`, {
    metadata: { workflow: `${project}/${name}` },
  });
}
