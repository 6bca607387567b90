import { timeOfId } from "@attestry/service-kit";
import type pg from "pg";
import type { NewRun, Run } from "../runs/run.ts";
import { isForeignKeyViolation } from "./faults.ts";
import { readProjectVersion, type VersionRow, versionColumns } from "./version-rows.ts";

// RunService.Create is one named statement: one round trip, planned once per connection. Runs that are of a version of their
// project have a statement of their own, so that others do not pay for it.

// $1 organization, $2 run, $3 project, $4 workflow, $5 id for a new workflow, $6 idempotency key, $7 job URL, $8 now,
// $9 revision of the contract or 0 for the latest, $10 runner, $11 token; $12 version, $13 whether it must exist, $14 whether it is
// to be the latest or null, $15 id for a new version.
//
// What another call inserts at the same time is not visible to this statement: then it inserts nothing, and the
// caller tries again. A contract that is not visible came with the workflow, or just before: it has its first revision.
function createText({ versioned }: { versioned: boolean }): string {
  return `
with
past as (select 1 from run where organization_id = $1 and idempotency_key = $6::text),
place as materialized (
  select b.id as backend_id, b.name as backend_name, o.block_on_policy_violation
  from backend b, organization o where b.organization_id = $1 and b.is_default and o.id = $1),
existing as (
  select w.id, ${revisionOf("w.contract_id")} as revision
  from workflow w where w.organization_id = $1 and w.project = $3 and w.name = $4),
made as (
  insert into workflow (organization_id, id, project, name, created_at)
  select $1::uuid, $5::uuid, $3, $4, $8::timestamptz
  where $9::int = 0 and not exists (select from existing) and not exists (select from past)
  ${versioned ? "and (not $13::boolean or exists (select from version_of_run($1, $3, $12, true, null, null)))" : ""}
  on conflict (organization_id, project, name) do nothing
  returning id, contract_id),
target as materialized (
  select id, case $9 when 0 then revision else $9 end as revision
  from existing where $9 <= revision and not exists (select from past)
  union all
  select m.id, coalesce(${revisionOf("m.contract_id")}, 1) from made m),
${
  versioned
    ? "version as materialized (select v.* from target cross join lateral version_of_run($1, $3, $12, $13, $14::boolean, $15) v),"
    : ""
}
started as (
  insert into run (organization_id, id, workflow_id, backend_id, created_at, idempotency_key, job_url,
    contract_revision, runner, block_on_policy_violation, token_id, project_version_id)
  select $1::uuid, $2::uuid, t.id, p.backend_id, $8::timestamptz, $6::text, $7,
    t.revision, $10, p.block_on_policy_violation, $11::uuid, ${versioned ? "v.id" : "null"}
  from target t, place p ${versioned ? ", version v" : ""}
  on conflict (organization_id, idempotency_key) where idempotency_key is not null do nothing
  returning workflow_id, contract_revision)
select s.workflow_id, s.contract_revision, p.* ${versioned ? `, ${versionColumns("v")}` : ""}
from started s, place p ${versioned ? ", version v" : ""}`;
}

/** A look-up for each row, whatever the planner knew of the table when it made the plan that it keeps. */
function revisionOf(contractId: string): string {
  return `(select latest_revision from contract where organization_id = $1 and id = ${contractId})`;
}

const plainText = createText({ versioned: false });
const versionedText = createText({ versioned: true });

interface CreatedRow extends VersionRow {
  workflow_id: string;
  backend_id: string;
  backend_name: string;
  contract_revision: number;
  block_on_policy_violation: boolean;
}

/**
 * Starts the run. Null: a race was lost, the idempotency key was used before, the contract has no such revision, or the
 * version may not be had.
 */
export async function insertRun(pool: pg.Pool, wanted: NewRun): Promise<Run | null> {
  const { organizationId, id, tokenId, project, workflow, newWorkflowId, idempotencyKey, jobUrl, runner } = wanted;
  const createdAt = timeOfId(id);
  const plain = [organizationId, id, project, workflow, newWorkflowId, idempotencyKey, jobUrl, createdAt];
  const values = [...plain, wanted.contractRevision, runner, tokenId];
  const { version } = wanted;
  const statement =
    version === null
      ? { name: "run-create", text: plainText, values }
      : {
          name: "run-create-versioned",
          text: versionedText,
          values: [...values, version.version, version.mustExist, version.markLatest, version.newId],
        };
  // The default backend was removed, or the organization is none: the same to this statement as a lost race.
  const { rows } = await pool.query<CreatedRow>(statement).catch(emptyOn(isForeignKeyViolation));
  const row = rows[0];
  if (row === undefined) return null;
  return {
    ...{ id, tokenId, project, workflow, jobUrl, createdAt, runner },
    ...{ workflowId: row.workflow_id, backendId: row.backend_id, backendName: row.backend_name },
    ...{ state: "initialized", finishedAt: null, attestationDigest: null, reason: "", policySummary: null },
    contractRevision: row.contract_revision,
    blockOnPolicyViolation: row.block_on_policy_violation,
    projectVersion: version === null ? null : readProjectVersion(row),
  };
}

function emptyOn(expected: (error: unknown) => boolean): (error: unknown) => { rows: never[] } {
  return (error) => {
    if (expected(error)) return { rows: [] };
    throw error;
  };
}
