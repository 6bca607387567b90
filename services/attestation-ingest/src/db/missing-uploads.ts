import type { Pool } from "pg";

/** What one window of the table gave. */
export interface Window {
  rows: number;
  requeued: number;
  /** Undefined if there were no rows. */
  lastId: string | undefined;
}

/**
 * Looks at the next attestations in order of id, and writes the upload of each whose backend is external and that has
 * none to any backend. Of a row of an older build that is known only if its bytes were not simply put in the database.
 */
export async function requeueMissing(pool: Pool, afterId: string, limit: number): Promise<Window> {
  const { rows } = await pool.query<{ rows: number; requeued: number; lastId: string | null }>({
    name: "requeue-missing-uploads",
    text: `with seen as materialized (
             select id, organization_id, run_id, backend_id, digest, size_bytes, mode, external
             from attestation where id > $1 order by id limit $2
           ), requeued as (
             insert into upload (id, organization_id, attestation_id, run_id, backend_id, digest, size_bytes, state)
             select id, organization_id, id, run_id, backend_id, digest, size_bytes, 'pending' from seen
             where coalesce(external, mode <> 'database')
               and not exists (select from upload u where u.attestation_id = seen.id)
             on conflict do nothing
             returning id
           )
           select (select count(*)::int from seen) as rows, (select count(*)::int from requeued) as requeued,
                  (select id from seen order by id desc limit 1) as "lastId"`,
    values: [afterId, limit],
  });
  const [window] = rows;
  return { rows: window?.rows ?? 0, requeued: window?.requeued ?? 0, lastId: window?.lastId ?? undefined };
}
