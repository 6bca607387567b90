import { firstIdAt } from "@attestry/service-kit";
import type { Pool } from "pg";
import type { FreshPolicy, RetentionPolicy } from "../retention/policy.ts";
import { deleteHidden, expireDue, keepUndue, lockDeletable, lockUploads } from "./retention-statements.ts";

const dayMs = 24 * 3_600_000;

// PostgreSQL itself ends the transaction of a process that was stopped: its COMMIT does not come late.
const beginBounded = `begin; set local statement_timeout = '10s'; set local idle_in_transaction_session_timeout = '5s'`;

/** What one window of an organization's attestations gave. */
export interface Window {
  /** How many it changed. */
  changed: number;
  /** The last that it looked at; undefined: there are no more. */
  lastId: string | undefined;
}

/**
 * The rows of attestations past their retention, in windows in order of id. Each change is one statement with its
 * audit event, or a short transaction; replicas may work at once, each on rows that no other has locked.
 */
export class RetentionRows {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /**
   * Hides those that are due in the next window. Ids begin with the time of receipt by the clock of the replica that
   * made them; so they bound what is looked at, a day wider, and stored_at by the clock of the database decides.
   */
  async expire(policy: RetentionPolicy, afterId: string): Promise<Window> {
    const newest = firstIdAt(Date.now() - policy.atMostSeconds * 1_000 + dayMs);
    return this.#window(expireDue, [...valuesOf(policy), afterId, newest]);
  }

  /** Shows those again, of the next window of hidden ones, that are not due any more. */
  keep(policy: RetentionPolicy, afterId: string): Promise<Window> {
    return this.#window(keepUndue, [...valuesOf(policy), afterId]);
  }

  /**
   * Deletes those that are due and have been hidden for `graceMs`, after the first id and up to the last, and leaves an
   * intent at each backend that may have their bytes. Each row is locked before its uploads are read: a migration that
   * queued one meanwhile would leave its copy unknown. The commit is sent only while the policy may be acted on, and is
   * refused by the database if it comes more than 5 s after. Returns how many; none if the policy is too old.
   */
  async delete(policy: FreshPolicy, graceMs: number, afterId: string, lastId: string): Promise<number> {
    const client = await this.#pool.connect();
    try {
      if (isTooOld(policy)) {
        client.release();
        return 0;
      }
      await client.query(beginBounded);
      const locked = await client.query<{ id: string }>({
        ...lockDeletable,
        values: [...valuesOf(policy), afterId, lastId, graceMs],
      });
      const ids = locked.rows.map(({ id }) => id);
      if (ids.length > 0) {
        await client.query({ ...lockUploads, values: [ids] });
        await client.query({ ...deleteHidden, values: [...valuesOf(policy), ids] });
      }
      const tooOld = isTooOld(policy);
      await client.query(tooOld ? "rollback" : "commit");
      client.release();
      return tooOld ? 0 : ids.length;
    } catch (error) {
      // Closing the connection is a rollback that cannot fail.
      client.release(true);
      throw error;
    }
  }

  async #window(statement: { name: string; text: string }, values: unknown[]): Promise<Window> {
    const { rows } = await this.#pool.query<{ changed: number; lastId: string | null }>({ ...statement, values });
    return { changed: rows[0]?.changed ?? 0, lastId: rows[0]?.lastId ?? undefined };
  }
}

function isTooOld({ useBefore }: FreshPolicy): boolean {
  return performance.now() >= useBefore;
}

function valuesOf({ organizationId, atMostSeconds, atLeastSeconds }: RetentionPolicy): unknown[] {
  return [organizationId, atMostSeconds, atLeastSeconds];
}
