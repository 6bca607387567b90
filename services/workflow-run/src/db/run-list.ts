import type pg from "pg";
import type { Run, RunFilter } from "../runs/run.ts";
import { policyConditions } from "./policy-columns.ts";
import { type RunRow, readRun, selectRunFrom } from "./run-rows.ts";

/**
 * Runs with ids below `afterId`, greatest first, at most `limit`. Each page is read from one end of an index, so
 * it takes as long at any depth: the organization's, or, for a project, each of its workflows' own. Those with a state but
 * success, with violations, with gates or with a status of policies have their own; those without policies, violations or
 * gates are looked for among all others, so there a page takes longer the rarer they are.
 */
export async function listRuns(
  pool: pg.Pool,
  filter: RunFilter,
  afterId: string | undefined,
  limit: number,
): Promise<Run[]> {
  const values: unknown[] = [filter.organizationId, limit];
  const parameter = (value: unknown): string => `$${values.push(value)}`;

  const runConditions = ["r.organization_id = $1"];
  // The state stands in the text, not in a parameter: the planner must see that a partial index has it.
  if (filter.state !== undefined) runConditions.push(`r.state = '${filter.state}'`);
  runConditions.push(...policyConditions(filter));
  if (filter.fromId !== undefined) runConditions.push(`r.id >= ${parameter(filter.fromId)}`);
  if (filter.beforeId !== undefined) runConditions.push(`r.id < ${parameter(filter.beforeId)}`);
  if (afterId !== undefined) runConditions.push(`r.id < ${parameter(afterId)}`);
  if (filter.projectVersion !== undefined)
    runConditions.push(`r.project_version_id = (select id from project_version
      where organization_id = $1 and project = ${parameter(filter.project)} and version = ${parameter(filter.projectVersion)})`);
  const page = (conditions: string[]): string =>
    `select r.* from run r where ${conditions.join(" and ")} order by r.id desc limit $2`;

  let source = page(runConditions);
  if (filter.project !== undefined) {
    const workflowConditions = ["f.organization_id = $1", `f.project = ${parameter(filter.project)}`];
    if (filter.workflow !== undefined) workflowConditions.push(`f.name = ${parameter(filter.workflow)}`);
    const perWorkflow = page([...runConditions, "r.workflow_id = f.id"]);
    source = `select r.* from workflow f cross join lateral (${perWorkflow}) r
      where ${workflowConditions.join(" and ")} order by r.id desc limit $2`;
  }
  const { rows } = await pool.query<RunRow>(`${selectRunFrom(`(${source}) r`)} order by r.id desc`, values);
  return rows.map(readRun);
}
