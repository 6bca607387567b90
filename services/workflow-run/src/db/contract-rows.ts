import type { Contract, ContractWorkflow } from "../contracts/contract.ts";

export interface ContractRow {
  id: string;
  name: string;
  project: string;
  description: string;
  created_at: Date;
  updated_at: Date;
  latest_revision: number;
  latest_revision_at: Date;
  workflows: ContractWorkflow[];
}

/** What a contract shows, of rows of `contract` that are called c. */
export function selectContractsFrom(source: string): string {
  return `select c.id, c.name, c.project, c.description, c.created_at, c.updated_at, c.latest_revision,
  v.created_at as latest_revision_at, w.workflows
from ${source}
join contract_revision v on v.organization_id = c.organization_id and v.contract_id = c.id and v.revision = c.latest_revision
cross join lateral (
  select coalesce(json_agg(json_build_object('id', f.id, 'project', f.project, 'name', f.name)), '[]') as workflows
  from (select id, project, name from workflow where organization_id = c.organization_id and contract_id = c.id
    order by project, name limit 100) f) w`;
}

export function readContract(row: ContractRow): Contract {
  const { id, name, project, description, workflows } = row;
  return {
    ...{ id, name, project, description, workflows },
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    latestRevision: row.latest_revision,
    latestRevisionAt: row.latest_revision_at,
  };
}
