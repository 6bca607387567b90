import { type Digest, digestBytes } from "@attestry/bundle";
import type pg from "pg";
import { digestText } from "./digests.ts";

export interface CraftingState {
  state: Buffer;
  digest: Digest;
}

// Both lock the run, so that none is saved for a run that ends meanwhile: whoever comes second waits, and sees the end.
//
// $1 organization, $2 run, $3 state, $4 its digest.
const goingRun =
  "select organization_id, id from run where organization_id = $1 and id = $2 and state = 'initialized' for share";

const replaceText = `
insert into crafting_state (organization_id, run_id, state, digest)
select r.organization_id, r.id, $3, $4 from (${goingRun}) r
on conflict (organization_id, run_id) do update set state = excluded.state, digest = excluded.digest, updated_at = now()`;

// An update and no upsert: a base that is deleted meanwhile must not come back as a new row. Two that save over the same
// base wait for each other here: the second sees the first one's digest and saves nothing. $5 digest of the base.
const changeText = `
update crafting_state c set state = $3, digest = $4, updated_at = now() from (${goingRun}) r
where c.organization_id = r.organization_id and c.run_id = r.id and c.digest = $5`;

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
    const values = [organizationId, runId, state, digestBytes(digest)];
    const { rowCount } =
      base === undefined
        ? await this.#pool.query(replaceText, values)
        : await this.#pool.query(changeText, [...values, digestBytes(base)]);
    return rowCount === 1;
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
