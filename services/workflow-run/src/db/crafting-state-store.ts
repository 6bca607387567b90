import { type Digest, digestBytes } from "@attestry/bundle";
import type pg from "pg";
import { digestText } from "./digests.ts";

export interface CraftingState {
  state: Buffer;
  digest: Digest;
}

// Two that save over the same base wait for each other here: the second sees the first one's digest and saves nothing.
//
// $1 organization, $2 run, $3 state, $4 its digest, $5 digest of the base; null: whatever is there.
const saveText = `
insert into crafting_state as present (organization_id, run_id, state, digest)
select r.organization_id, r.id, $3, $4 from run r
where r.organization_id = $1 and r.id = $2 and r.state = 'initialized'
  and ($5::bytea is null or exists (
    select from crafting_state c where c.organization_id = $1 and c.run_id = $2 and c.digest = $5))
on conflict (organization_id, run_id) do update set state = excluded.state, digest = excluded.digest, updated_at = now()
where $5::bytea is null or present.digest = $5`;

const findText = `
select c.state, c.digest from crafting_state c join run r on r.organization_id = c.organization_id and r.id = c.run_id
where c.organization_id = $1 and c.run_id = $2 and r.state = 'initialized'`;

const sweepText = `
delete from crafting_state where (organization_id, run_id) in (
  select c.organization_id, c.run_id from crafting_state c join run r on r.organization_id = c.organization_id and r.id = c.run_id
  where r.state <> 'initialized' limit $1)`;

/** Crafting states, in the database. One belongs to a run and is gone for everyone as soon as that ends. */
export class CraftingStateStore {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  async find(organizationId: string, runId: string): Promise<CraftingState | null> {
    const { rows } = await this.#pool.query<{ state: Buffer; digest: Buffer }>(findText, [organizationId, runId]);
    const [row] = rows;
    const digest = digestText(row?.digest ?? null);
    return row === undefined || digest === null ? null : { state: row.state, digest };
  }

  /** False: the run has ended or is none, or what is there is not the base. */
  async save(
    organizationId: string,
    runId: string,
    { state, digest, base }: { state: Uint8Array; digest: Digest; base: Digest | undefined },
  ): Promise<boolean> {
    const baseBytes = base === undefined ? null : digestBytes(base);
    const values = [organizationId, runId, state, digestBytes(digest), baseBytes];
    return (await this.#pool.query(saveText, values)).rowCount === 1;
  }

  async delete(organizationId: string, runId: string): Promise<void> {
    await this.#pool.query("delete from crafting_state where organization_id = $1 and run_id = $2", [
      organizationId,
      runId,
    ]);
  }

  /** Deletes up to so many of runs that have ended. Returns how many. */
  async sweep(limit: number): Promise<number> {
    return (await this.#pool.query(sweepText, [limit])).rowCount ?? 0;
  }
}
