import { uuidv7 } from "@attestry/service-kit";
import type { Pool } from "pg";

/** From one backend of an organization to another, by id. */
export interface Migration {
  organizationId: string;
  from: string;
  to: string;
}

export interface QueuedPage {
  /** Attestations of the page that the first backend has. */
  attestations: number;
  sizeBytes: number;
  /** How many of them were new to the second. */
  queued: number;
  /** Undefined: there are no more. */
  lastId: string | undefined;
}

export interface MigrationProgress {
  pending: number;
  failing: number;
  givenUp: number;
  sizeBytes: number;
  lastError: string;
}

/** Of an attestation `a`. */
const isAtFirst = `(a.backend_id = $2
  or exists (select from upload f where f.attestation_id = a.id and f.backend_id = $2))`;

/** Copies from backend to backend, as rows of the upload queue. */
export class Migrations {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /**
   * Queues what the first backend has of the organization's next `rows` attestations after the id given. Only visible
   * ones: no refusal of their run removes them, so the pending row is all that is needed to say that the second may hold
   * the bytes. Those that retention hides are among them, since they may be shown again.
   */
  async queue(migration: Migration, page: { afterId: string; rows: number; actor: string }): Promise<QueuedPage> {
    const { organizationId, from, to } = migration;
    const { afterId, rows, actor } = page;
    const found = await this.#pool.query<{ id: string; sizeBytes: number; here: boolean; there: boolean }>({
      name: "page-to-migrate",
      text: `select a.id, a.size_bytes as "sizeBytes", a.visible and ${isAtFirst} as here,
                    exists (select from upload t where t.attestation_id = a.id and t.backend_id = $3) as there
             from attestation a where a.organization_id = $1 and a.id > $4 order by a.id limit $5`,
      values: [organizationId, from, to, afterId, rows],
    });
    const here = found.rows.filter((row) => row.here);
    const wanted = here.filter((row) => !row.there).map(({ id }) => id);
    return {
      attestations: here.length,
      sizeBytes: here.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      queued: wanted.length === 0 ? 0 : await this.#insert(migration, wanted, actor),
      lastId: found.rows.length < rows ? undefined : found.rows.at(-1)?.id,
    };
  }

  /** With their rows locked: one that retention is deleting at this moment is waited for, and then passed over. */
  async #insert(
    { organizationId, from, to }: Migration,
    attestationIds: readonly string[],
    actor: string,
  ): Promise<number> {
    const { rows } = await this.#pool.query<{ n: number }>({
      name: "queue-migration",
      text: `with queued as (
             insert into upload (id, organization_id, attestation_id, run_id, backend_id, digest, size_bytes, state)
             select wanted.id, a.organization_id, a.id, a.run_id, $1::uuid, a.digest, a.size_bytes, 'pending'
             from unnest($2::uuid[], $3::uuid[]) as wanted(id, attestation_id)
             join attestation a on a.id = wanted.attestation_id and a.visible
             for key share of a
             on conflict (attestation_id, backend_id) do nothing returning 1
           ), counted as (select count(*)::int as n from queued), noted as (
             insert into audit_event (organization_id, actor, action, resource, detail)
             select $4::uuid, $5, 'migration.queue', 'backend ' || $1::uuid,
                    jsonb_build_object('from_backend_id', $6::text, 'uploads', n::text) from counted where n > 0
           ) select n from counted`,
      values: [to, attestationIds.map(() => uuidv7()), attestationIds, organizationId, actor, from],
    });
    return rows[0]?.n ?? 0;
  }

  /** What is not confirmed at the second backend of what the first has. Costs by what is queued, not by what there is. */
  async progress({ organizationId, from, to }: Migration): Promise<MigrationProgress> {
    const { rows } = await this.#pool.query<MigrationProgress>({
      name: "migration-progress",
      text: `select (count(*) filter (where u.state = 'pending'))::float8 as pending,
                    (count(*) filter (where u.state = 'failing'))::float8 as failing,
                    (count(*) filter (where u.state = 'given_up'))::float8 as "givenUp",
                    coalesce(sum(u.size_bytes), 0)::float8 as "sizeBytes",
                    coalesce(max(u.last_error), '') as "lastError"
             from upload u join attestation a on a.id = u.attestation_id
             where u.organization_id = $1 and u.state <> 'confirmed' and u.backend_id = $3 and ${isAtFirst}`,
      values: [organizationId, from, to],
    });
    return rows[0] ?? { pending: 0, failing: 0, givenUp: 0, sizeBytes: 0, lastError: "" };
  }
}
