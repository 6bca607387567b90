import { type Digest, digestBytes } from "@attestry/bundle";
import type pg from "pg";
import type { ProjectVersion } from "../projects/project-version.ts";
import type { Completed, Completion, CompletionStore } from "../runs/complete-run.ts";
import type { NewRun, Run, RunPlan } from "../runs/run.ts";
import type { StartStore } from "../runs/start-run.ts";
import type { Database } from "./database.ts";
import { ProjectVersionStore } from "./project-version-store.ts";
import { createCompletions, createPlans, type PlanKey } from "./run-batches.ts";
import { insertRun } from "./run-create.ts";
import { type RunRow, readRun, selectRun } from "./run-rows.ts";

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
  readonly #versions: ProjectVersionStore;

  /** @param expiryMs Age at which a run expires. */
  constructor({ hot, pool }: Pick<Database, "hot" | "pool">, expiryMs: number) {
    this.#hot = hot;
    this.#pool = pool;
    this.#versions = new ProjectVersionStore(pool);
    this.plan = createPlans(hot, expiryMs);
    this.complete = createCompletions(hot);
  }

  create(wanted: NewRun): Promise<Run | null> {
    return insertRun(this.#hot, wanted);
  }

  findByKey(organizationId: string, idempotencyKey: string): Promise<Run | null> {
    return this.#one("run-by-key", "r.organization_id = $1 and r.idempotency_key = $2", [
      organizationId,
      idempotencyKey,
    ]);
  }

  /** Of the workflow's contract; 0: there is no such workflow. */
  async contractRevision(organizationId: string, project: string, workflow: string): Promise<number> {
    const { rows } = await this.#pool.query<{ latest_revision: number }>(
      `select c.latest_revision from workflow w join contract c on c.organization_id = w.organization_id and c.id = w.contract_id
       where w.organization_id = $1 and w.project = $2 and w.name = $3`,
      [organizationId, project, workflow],
    );
    return rows[0]?.latest_revision ?? 0;
  }

  findVersion(organizationId: string, project: string, version: string): Promise<ProjectVersion | null> {
    return this.#versions.find(organizationId, project, version);
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
