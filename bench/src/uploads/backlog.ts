import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ensureBucket, type MinioAccess, minioClient } from "@attestry/dev-env";
import type pg from "pg";
import { each } from "../load.ts";

/** As many as a worker uploads at a time. */
const inFlight = 16;
const pollMs = 50;
const longestMs = 30 * 60_000;

/** About 4 KB, as a statement without a certificate is. */
export function smallBundle(): Buffer {
  return randomBytes(4_096);
}

/**
 * Rows as Store leaves them with their upload rows, so many, each of other bytes; all that was there is removed. The
 * worker does not parse bundles, so what is before the number does not matter to it.
 */
export async function fillBacklog(
  database: pg.Pool,
  bundle: Buffer,
  rows: number,
  { organizationId, backendId }: { organizationId: string; backendId: string },
): Promise<void> {
  await database.query("truncate attestation cascade");
  await database.query(
    `with bundles as (
       select gen_random_uuid() as id, $1::bytea || convert_to(to_char(n, '000000009'), 'utf8') as bytes
       from generate_series(1, $2::int) as n
     ), kept as (
       insert into attestation (id, organization_id, run_id, workflow_id, project, workflow, backend_id, digest, size_bytes,
         media_type, predicate_type, subjects, mode, bundle, received_at, plan_given_at, visible)
       select id, $3, gen_random_uuid(), gen_random_uuid(), 'bench', 'uploads', $4, sha256(bytes), octet_length(bytes),
         '', '', '[]', 'database', bytes, now(), now(), true from bundles
       returning *
     )
     insert into upload (id, organization_id, attestation_id, run_id, backend_id, digest, size_bytes, state)
     select id, organization_id, id, run_id, backend_id, digest, size_bytes, 'pending' from kept`,
    [bundle, rows, organizationId, backendId],
  );
  await database.query("analyze");
}

export async function untilConfirmed(database: pg.Pool): Promise<void> {
  const end = Date.now() + longestMs;
  for (;;) {
    const { rowCount } = await database.query("select from upload where state <> 'confirmed' limit 1");
    if (rowCount === 0) return;
    if (Date.now() > end) throw new Error("uploads were not confirmed within half an hour");
    await sleep(pollMs);
  }
}

/** Confirmations a second in the middle 80 %, so that neither the start of a worker nor its last batch counts. */
export async function drainRateOf(database: pg.Pool): Promise<number> {
  const { rows } = await database.query<{ rate: number }>(
    `select count(*) * 0.8 / nullif(extract(epoch from
       percentile_disc(0.9) within group (order by confirmed_at) - percentile_disc(0.1) within group (order by confirmed_at)), 0)
       ::float8 as rate from upload`,
  );
  return Number(rows[0]?.rate ?? Number.NaN);
}

/** Between an upload's row and its confirmation, in milliseconds. */
export async function waitsOf(database: pg.Pool): Promise<{ p50: number; p99: number }> {
  const { rows } = await database.query<{ p50: number; p99: number }>(
    `select (percentile_disc(0.5) within group (order by ms))::float8 as p50,
            (percentile_disc(0.99) within group (order by ms))::float8 as p99
     from (select extract(epoch from confirmed_at - created_at) * 1000 as ms from upload) as waits`,
  );
  return rows[0] ?? { p50: Number.NaN, p99: Number.NaN };
}

/** The same bytes put to the store by its own client, a second. */
export async function putDirectly(minio: MinioAccess, bundle: Buffer, puts: number): Promise<number> {
  const { bucket } = await ensureBucket(minio, "bench-direct");
  const client = minioClient(minio);
  const began = performance.now();
  await each(
    Array.from({ length: puts }, (_, n) => n),
    inFlight,
    (n) => client.putObject(bucket, `direct/${n}`, bundle),
  );
  return puts / ((performance.now() - began) / 1_000);
}
