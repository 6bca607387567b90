import type { Statement } from "./statement.ts";

// $1 to $3 are the organization, at_most and at_least in seconds, except in lockUploads.

/** Rows that one statement looks at. In its text, so that it is planned for so few. */
const windowRows = 1_000;
/** Fewer, as their subjects, materials and uploads go with them. */
const hiddenWindowRows = 200;

/** Of an attestation `a`: past at_most, and no promise holds, neither today's nor the one it was stored under. */
const due = `(a.visible and $2::bigint > 0
  and a.stored_at < now() - $2::bigint * interval '1 second'
  and a.stored_at <= now() - $3::bigint * interval '1 second'
  and (a.retain_until is null or a.retain_until <= now()))`;

/** Of the rows `changed`, in the same statement. */
const changedColumns = "organization_id, id, run_id, digest, size_bytes, stored_at";

function noted(action: string): string {
  return `noted as (
    insert into audit_event (organization_id, actor, action, resource, detail)
    select organization_id, 'service attestation-ingest', '${action}', 'attestation ' || id,
           jsonb_build_object(
             'run_id', run_id::text, 'digest', 'sha256:' || encode(digest, 'hex'), 'size_bytes', size_bytes::text,
             'stored_at', to_char(stored_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
             'at_most', coalesce(nullif($2::bigint, 0) || 's', 'none'),
             'at_least', coalesce(nullif($3::bigint, 0) || 's', 'none'))
    from changed order by id
  )`;
}

const result = (limit: number) => `
  select (select count(*)::int from changed) as changed,
         (select id from seen order by id offset ${limit - 1}) as "lastId"`;

// Rows that someone else has locked wait for the next round.
export const expireDue: Statement = {
  name: "expire-due",
  text: `with seen as materialized (
    select id from attestation where organization_id = $1 and id > $4 and id < $5 order by id limit ${windowRows}
  ), found as (
    select a.id from seen join attestation a using (id) where a.expired_at is null and ${due}
    order by a.id for no key update of a skip locked
  ), changed as (
    update attestation set expired_at = now() where id in (select id from found) returning ${changedColumns}
  ), ${noted("attestation.expire")} ${result(windowRows)}`,
};

export const keepUndue: Statement = {
  name: "keep-undue",
  text: `with seen as materialized (
    select id from attestation where organization_id = $1 and expired_at is not null and id > $4
    order by id limit ${hiddenWindowRows}
  ), found as (
    select a.id from seen join attestation a using (id) where a.expired_at is not null and not ${due}
    order by a.id for no key update of a skip locked
  ), changed as (
    update attestation set expired_at = null where id in (select id from found) returning ${changedColumns}
  ), ${noted("attestation.keep")} ${result(hiddenWindowRows)}`,
};

export const lockDeletable: Statement = {
  name: "lock-deletable",
  text: `select a.id from attestation a
         where a.organization_id = $1 and a.id > $4 and a.id <= $5 and a.expired_at is not null
           and a.expired_at <= now() - $6::bigint * interval '1 millisecond' and ${due}
         order by a.id limit ${hiddenWindowRows} for update skip locked`,
};

// In the order in which the worker's confirmations lock them, which would block each other else.
export const lockUploads: Statement = {
  name: "lock-uploads",
  text: "select from upload where attestation_id = any($1::uuid[]) order by id for update",
};

// The uploads, subjects and materials fall with their attestation. Intents are sorted, so that two replicas wait for each other
// in one order only.
export const deleteHidden: Statement = {
  name: "delete-hidden",
  text: `with changed as (
    delete from attestation where organization_id = $1 and id = any($4::uuid[])
    returning ${changedColumns}, backend_id, external, mode
  ), intents as (
    insert into intent (organization_id, backend_id, digest, retired)
    select organization_id, backend_id, digest, true from (
      select organization_id, backend_id, digest from upload where attestation_id = any($4::uuid[])
      union
      select organization_id, backend_id, digest from changed where coalesce(external, mode <> 'database')
    ) places order by organization_id, backend_id, digest
    on conflict (organization_id, backend_id, digest) do update set touched = now(), retired = true
  ), ${noted("attestation.delete")} select id from changed`,
};
