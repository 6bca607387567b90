import { type Digest, digestBytes } from "@attestry/bundle";
import { timeOfId } from "@attestry/service-kit";
import type pg from "pg";
import type { Completed, Completion, CompletionStore } from "../runs/complete-run.ts";
import type { NewRun, Run, RunPlan } from "../runs/run.ts";
import type { StartStore } from "../runs/start-run.ts";
import type { Database } from "./database.ts";
import { isForeignKeyViolation } from "./faults.ts";
import { createCompletions, createPlans, type PlanKey } from "./run-batches.ts";
import { type RunRow, readRun, selectRun } from "./run-rows.ts";

// Create is one named statement: one round trip, planned once per connection.

// $1 organization, $2 run, $3 project, $4 workflow, $5 id for a new workflow, $6 idempotency key, $7 job URL, $8 now.
// What another call inserts at the same time is not visible to this statement: then it inserts nothing, and the
// caller tries again.
const createText = `
with
past as (select 1 from run where organization_id = $1 and idempotency_key = $6::text),
existing as (select id from workflow where organization_id = $1 and project = $3 and name = $4),
made as (
  insert into workflow (organization_id, id, project, name, created_at)
  select $1::uuid, $5::uuid, $3, $4, $8::timestamptz
  where not exists (select from existing) and not exists (select from past)
  on conflict (organization_id, project, name) do nothing
  returning id),
started as (
  insert into run (organization_id, id, workflow_id, backend_id, created_at, idempotency_key, job_url)
  select $1::uuid, $2::uuid, w.id, b.id, $8::timestamptz, $6::text, $7
  from (select id from existing union all select id from made) w, backend b
  where b.organization_id = $1 and b.is_default and not exists (select from past)
  on conflict (organization_id, idempotency_key) where idempotency_key is not null do nothing
  returning workflow_id, backend_id)
select s.workflow_id, s.backend_id, b.name as backend_name
from started s join backend b on b.organization_id = $1 and b.id = s.backend_id`;

const cancelText = `
with ended as (
  update run set state = $3::run_state, reason = $4, finished_at = now()
  where organization_id = $1 and id = $2 and state = 'initialized'
  returning organization_id, id)
insert into audit_event (organization_id, actor, action, resource, detail)
select organization_id, $5, 'run.cancel', 'run ' || id, jsonb_build_object('state', $3::text, 'reason', $4::text) from ended`;

const expireText = `
with due as (
  select organization_id, id from run
  where state = 'initialized' and started_at < now() - $1 * interval '1 millisecond'
  order by started_at limit $2
  for update skip locked)
update run set state = 'expired', finished_at = now()
from due where run.organization_id = due.organization_id and run.id = due.id and run.state = 'initialized'`;

/** Runs, in the database. */
export class RunStore implements StartStore, CompletionStore {
  /** All that decides where a run's attestation goes; null if there is no such run. A read. */
  readonly plan: (key: PlanKey) => Promise<RunPlan | null>;
  readonly complete: (completion: Completion) => Promise<Completed>;
  readonly #hot: pg.Pool;
  readonly #pool: pg.Pool;

  /** @param expiryMs Age at which a run expires. */
  constructor({ hot, pool }: Pick<Database, "hot" | "pool">, expiryMs: number) {
    this.#hot = hot;
    this.#pool = pool;
    this.plan = createPlans(hot, expiryMs);
    this.complete = createCompletions(hot);
  }

  async create(wanted: NewRun): Promise<Run | null> {
    const { organizationId, id, project, workflow, newWorkflowId, idempotencyKey, jobUrl } = wanted;
    const createdAt = timeOfId(id);
    const values = [organizationId, id, project, workflow, newWorkflowId, idempotencyKey, jobUrl, createdAt];
    const { rows } = await this.#hot
      .query<{ workflow_id: string; backend_id: string; backend_name: string }>({
        name: "run-create",
        text: createText,
        values,
      })
      // The default backend was removed, or the organization is none: the same to this statement as a lost race.
      .catch(emptyOn(isForeignKeyViolation));
    const row = rows[0];
    if (row === undefined) return null;
    return {
      ...{ id, project, workflow, jobUrl, createdAt },
      ...{ workflowId: row.workflow_id, backendId: row.backend_id, backendName: row.backend_name },
      ...{ state: "initialized", finishedAt: null, attestationDigest: null, reason: "", policySummary: null },
    };
  }

  findByKey(organizationId: string, idempotencyKey: string): Promise<Run | null> {
    return this.#one("run-by-key", "r.organization_id = $1 and r.idempotency_key = $2", [
      organizationId,
      idempotencyKey,
    ]);
  }

  async hasOrganization(organizationId: string): Promise<boolean> {
    const { rowCount } = await this.#pool.query("select 1 from organization where id = $1", [organizationId]);
    return rowCount === 1;
  }

  find(organizationId: string, id: string): Promise<Run | null> {
    return this.#one("run-by-id", "r.organization_id = $1 and r.id = $2", [organizationId, id]);
  }

  /** The latest run with this attestation. */
  findByDigest(organizationId: string, digest: Digest): Promise<Run | null> {
    const where = "r.organization_id = $1 and r.attestation_digest = $2 order by r.id desc limit 1";
    return this.#one("run-by-digest", where, [organizationId, digestBytes(digest)]);
  }

  /** Whether this call ended the run; told to the audit log with it. */
  async cancel(
    organizationId: string,
    id: string,
    { state, reason, actor }: { state: "cancelled" | "error"; reason: string; actor: string },
  ): Promise<boolean> {
    const { rowCount } = await this.#pool.query(cancelText, [organizationId, id, state, reason, actor]);
    return rowCount === 1;
  }

  /** Ends up to `limit` runs older than this many milliseconds, leaving out what others are at work on. Returns how many. */
  async expire(expiryMs: number, limit: number): Promise<number> {
    const { rowCount } = await this.#pool.query(expireText, [expiryMs, limit]);
    return rowCount ?? 0;
  }

  async #one(name: string, where: string, values: unknown[]): Promise<Run | null> {
    const { rows } = await this.#pool.query<RunRow>({ name, text: `${selectRun} where ${where}`, values });
    return rows[0] === undefined ? null : readRun(rows[0]);
  }
}

function emptyOn(expected: (error: unknown) => boolean): (error: unknown) => { rows: never[] } {
  return (error) => {
    if (expected(error)) return { rows: [] };
    throw error;
  };
}
