import { inBatches } from "@attestry/service-kit";
import type { Pool } from "pg";

/**
 * The visible marks: many at a time in one statement, on a connection of their own that does not wait for the disk.
 * Marks that a crash of the database loses are set again by the reconciler. Rows are locked in order of id, so that
 * two replicas that mark the same rows do not block each other for ever.
 */
export function createMarks(pool: Pool): (id: string) => Promise<void> {
  return inBatches(
    async (ids) => {
      await pool.query({
        name: "mark-visible",
        text: `update attestation set visible = true
               where id in (select id from attestation where id = any($1::uuid[]) and not visible
                            order by id for no key update)`,
        values: [[...ids].sort()],
      });
      return ids.map(() => undefined);
    },
    { lanes: 1, maxBatch: 500 },
  );
}
