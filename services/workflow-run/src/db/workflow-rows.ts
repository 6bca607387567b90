import type { Run } from "../runs/run.ts";
import { mostCountedRuns, type Workflow } from "../workflows/workflow.ts";
import { selectRunFrom } from "./run-rows.ts";

export interface WorkflowRow {
  id: string;
  project: string;
  name: string;
  created_at: Date;
  description: string;
  team: string;
  contract: string;
  contract_revision: number;
  run_count: number;
}

/**
 * What a workflow shows beside its last run, of rows of `workflow` that are called w. The count reads the index of each
 * workflow's runs from one end and stops at its limit, so that it takes no longer with more.
 */
export function selectWorkflowsFrom(source: string): string {
  return `select w.id, w.project, w.name, w.created_at, w.description, w.team,
  c.name as contract, c.latest_revision as contract_revision, n.run_count
from ${source}
join contract c on c.organization_id = w.organization_id and c.id = w.contract_id
cross join lateral (
  select count(*)::int as run_count from (
    select 1 from run where organization_id = w.organization_id and workflow_id = w.id limit ${mostCountedRuns}) r) n`;
}

/** The newest run of each workflow in $2, of the organization $1: one descent of the same index for each. */
export const selectLastRuns: string = selectRunFrom(`unnest($2::uuid[]) asked (id)
cross join lateral (select * from run where organization_id = $1 and workflow_id = asked.id order by id desc limit 1) r`);

export function readWorkflow(row: WorkflowRow, lastRun: Run | undefined): Workflow {
  const { id, project, name, description, team, contract } = row;
  return {
    ...{ id, project, name, description, team, contract, lastRun },
    createdAt: row.created_at,
    contractRevision: row.contract_revision,
    runCount: row.run_count,
  };
}
