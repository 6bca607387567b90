import { digestBytes } from "@attestry/bundle";
import { inBatches } from "@attestry/service-kit";
import type pg from "pg";
import type { Completed, Completion } from "../runs/complete-run.ts";
import type { RunPlan } from "../runs/run.ts";
import { policyAssignments, policyColumns, policyNames, policyParameters, policyValues } from "./policy-columns.ts";
import { type EndRow, type PlanRow, readEnd, readPlan } from "./run-rows.ts";

// GetStoragePlan and Complete, the two steps of every Store: what arrives together is one statement.

// The look-ups are lateral with a limit, so that each key is one descent of the primary key whatever the planner knew
// of the table when it made the plan that it keeps.
//
// $3 is the expiry in milliseconds. The time of the plan is never later than the time at which the run is due to
// expire, so a plan that was given while an expirer was at work on the run, unseen by this statement, holds as well.
const planText = `
select asked.ord::int, r.id as run_id, r.organization_id, r.state, r.attestation_digest, r.workflow_id, w.project, w.name as workflow,
  b.id, b.name, b.provider, b.secret_ref, b.prefix, b.is_default, b.max_bytes, b.status, b.validated_at,
  b.validation_error, b.validation_notes, b.uploads_since, b.created_at, o.name as organization, o.storage_mode,
  o.verification_mode, o.trust_revision,
  o.attestation_keep_min_seconds as "attestationKeepMinSeconds", o.attestation_keep_max_seconds as "attestationKeepMaxSeconds",
  o.material_keep_min_seconds as "materialKeepMinSeconds", o.material_keep_max_seconds as "materialKeepMaxSeconds",
  o.material_keep_changed_at as "materialKeepChangedAt",
  date_trunc('milliseconds', least(now(), r.started_at + $3 * interval '1 millisecond')) as plan_given_at
from unnest($1::uuid[], $2::uuid[]) with ordinality asked (organization_id, id, ord)
cross join lateral (
  select * from run where organization_id = asked.organization_id and id = asked.id limit 1) r
join workflow w on w.organization_id = r.organization_id and w.id = r.workflow_id
join backend b on b.organization_id = r.organization_id and b.id = r.backend_id
join organization o on o.id = r.organization_id`;

// Rows are locked in order of their key, so that two batches of the same runs do not block each other for ever; and
// the lock shows each as it is now, not as it was when the statement began.
const completeText = `
with
asked as (
  select * from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::timestamptz[], ${policyParameters(5)})
    with ordinality a (organization_id, id, digest, plan_given_at, ${policyNames}, ord)),
locked as materialized (
  select l.* from (select distinct organization_id, id from asked order by 1, 2) a
  cross join lateral (
    select organization_id, id, state, finished_at, attestation_digest from run
    where organization_id = a.organization_id and id = a.id limit 1
    for no key update) l),
due as (
  select distinct on (a.organization_id, a.id) a.organization_id, a.id, a.digest, ${policyColumns("a")}
  from asked a join locked l using (organization_id, id)
  where l.state = 'initialized' or (l.state = 'expired' and l.finished_at >= a.plan_given_at)
  order by a.organization_id, a.id, a.ord),
completed as (
  update run set state = 'success', attestation_digest = due.digest, finished_at = now(), ${policyAssignments("due")}
  from due
  where run.organization_id = due.organization_id and run.id = due.id
  returning run.organization_id, run.id, run.attestation_digest)
select a.ord::int,
  case when c.id is null then l.state else 'success' end as state,
  coalesce(c.attestation_digest, l.attestation_digest) as attestation_digest,
  coalesce(c.attestation_digest = a.digest, false) as completed
from asked a
join locked l using (organization_id, id)
left join completed c using (organization_id, id)`;

const lanes = 2;
const maxBatch = 100;

export interface PlanKey {
  organizationId: string;
  id: string;
}

/** All that decides where a run's attestation goes; null if there is no such run. A read. */
export function createPlans(pool: pg.Pool, expiryMs: number): (key: PlanKey) => Promise<RunPlan | null> {
  return inBatches(
    async (keys) => {
      const { rows } = await pool.query<PlanRow & { ord: number }>({
        name: "run-plans",
        text: planText,
        values: [keys.map((key) => key.organizationId), keys.map((key) => key.id), expiryMs],
      });
      const found = new Map(rows.map((row) => [row.ord, row]));
      return keys.map((_, index) => {
        const row = found.get(index + 1);
        return row === undefined ? null : readPlan(row);
      });
    },
    { lanes, maxBatch },
  );
}

/** Makes runs a success that are not ended, or that expired after their plan was given. One update, idempotent. */
export function createCompletions(pool: pg.Pool): (completion: Completion) => Promise<Completed> {
  return inBatches(
    async (completions) => {
      const { rows } = await pool.query<EndRow & { ord: number; completed: boolean }>({
        name: "run-completions",
        text: completeText,
        values: [
          completions.map((completion) => completion.organizationId),
          completions.map((completion) => completion.runId),
          completions.map((completion) => digestBytes(completion.digest)),
          completions.map((completion) => completion.planGivenAt),
          ...policyValues(completions.map((completion) => completion.policySummary)),
        ],
      });
      const found = new Map(rows.map((row) => [row.ord, row]));
      return completions.map(({ runId }, index) => {
        const row = found.get(index + 1);
        return { completed: row?.completed ?? false, run: row && readEnd(runId, row) };
      });
    },
    { lanes, maxBatch },
  );
}
