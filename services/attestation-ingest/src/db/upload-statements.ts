import type { Statement } from "./statement.ts";

// The backends that have work are found by skipping through the index of the queue, one descent each. The least busy
// come first, and each gives its share of the places at most, so that no busy, slow or dead backend keeps another
// waiting: one with nothing under way gets a place in any case, and some places only such ones may take ($10). Of the
// workers that would probe a backend one may in each interval; those who may not leave one that is broken alone, and take
// what is due from any other.
export const claim: Statement = {
  name: "claim-uploads",
  text: `with recursive backend as (
    (select backend_id from upload where state in ('pending', 'failing') order by backend_id limit 1)
    union all
    select (select u.backend_id from upload u
            where u.state in ('pending', 'failing') and u.backend_id > backend.backend_id order by u.backend_id limit 1)
    from backend where backend.backend_id is not null
  ), room as (
    select backend_id, coalesce(room.room, $4) as room, coalesce(room.under_way, 0) as under_way,
      room.backend_id is not null and room.probe as is_broken, coalesce(room.probe, $8) as probe
    from backend
    left join unnest($5::uuid[], $6::int[], $7::boolean[], $11::int[]) as room(backend_id, room, probe, under_way)
      using (backend_id)
    where backend_id is not null
  ), shared as (
    select *, greatest($3::int - $10::int, 0) / greatest(count(*) filter (where room > 0) over (), 1) as share from room
  ), probed as (
    insert into upload_probe (backend_id, next_at)
    select backend_id, now() + $9 * interval '1 millisecond' from room
    where probe and not exists (select from upload_probe p where p.backend_id = room.backend_id and p.next_at > now())
    order by backend_id
    on conflict (backend_id) do update set next_at = excluded.next_at where upload_probe.next_at <= now()
    returning backend_id
  ), due as materialized (
    select u.id, u.held
    from (select * from shared order by under_way, random()) room left join probed using (backend_id)
    cross join lateral (
      select id, lease_owner is not null as held from upload
      where upload.backend_id = room.backend_id and state in ('pending', 'failing')
        and (next_attempt_at <= now() or probed.backend_id is not null)
        and (lease_until is null or lease_until <= now())
        and not exists (select from intent i
                        where i.organization_id = upload.organization_id and i.backend_id = upload.backend_id
                          and i.digest = upload.digest and i.state = 'deleting')
      order by next_attempt_at
      limit case
        when room.is_broken and probed.backend_id is null then 0
        else least(room.room, greatest(room.share, case when room.under_way = 0 then 1 else 0 end)) end
      for no key update skip locked
    ) u
    limit $3::int
  )
  update upload set lease_owner = $1, lease_until = now() + $2 * interval '1 millisecond'
  from due where upload.id = due.id
  returning upload.id, organization_id as "organizationId", attestation_id as "attestationId", run_id as "runId",
            backend_id as "backendId", digest, size_bytes as "sizeBytes", attempts,
            case when attempts = 0 then 0 else (extract(epoch from now() - trying_since) * 1000)::float8 end as "triedForMs",
            due.held as "wasHeld"`,
};

export const renew: Statement = {
  name: "renew-uploads",
  text: `update upload set lease_until = now() + $3 * interval '1 millisecond'
         where lease_owner = $1 and id = any($2::uuid[])`,
};

export const release: Statement = {
  name: "release-uploads",
  text: "update upload set lease_owner = null, lease_until = null where lease_owner = $1 and id = any($2::uuid[])",
};

// Nor does any worker probe the backend before: a probe would be one call too many as well.
export const putOff: Statement = {
  name: "put-off-upload",
  text: `with put_off as (
           update upload set next_attempt_at = now() + $3 * interval '1 millisecond', lease_owner = null, lease_until = null
           where id = $1 and lease_owner = $2 and state in ('pending', 'failing') returning backend_id, next_attempt_at
         )
         insert into upload_probe (backend_id, next_at) select backend_id, next_attempt_at from put_off
         on conflict (backend_id) do update set next_at = greatest(upload_probe.next_at, excluded.next_at)`,
};

export const confirm: Statement = {
  name: "confirm-uploads",
  text: `update upload set state = 'confirmed', confirmed_at = now(), attempts = attempts + 1, last_error = '',
                lease_owner = null, lease_until = null
         where id in (select id from upload where id = any($1::uuid[]) and state <> 'confirmed'
                      order by id for no key update)`,
};

export const fail: Statement = {
  name: "fail-upload",
  // It is being tried since its first try, however long it had to wait for that.
  text: `update upload set state = $3, attempts = attempts + 1, next_attempt_at = now() + $4 * interval '1 millisecond',
                trying_since = case when attempts = 0 then now() else trying_since end,
                last_error = $5, lease_owner = null, lease_until = null
         where id = $1 and lease_owner = $2 and state in ('pending', 'failing')`,
};

export const makeDue: Statement = {
  name: "make-uploads-due",
  text: `with probe as (delete from upload_probe where backend_id = $1)
         update upload set next_attempt_at = now() where backend_id = $1 and state = 'failing' and next_attempt_at > now()`,
};

/** A change of `upload`, and the audit event of it if it changed any: `$2` made uploads of `$3` due. */
function retrying(name: string, change: string): Statement {
  return {
    name,
    text: `with retried as (${change} returning 1), counted as (select count(*)::int as n from retried), noted as (
             insert into audit_event (organization_id, actor, action, resource, detail)
             select $1::uuid, $2, 'upload.retry', $3, jsonb_build_object('uploads', n::text) from counted where n > 0
           ) select n from counted`,
  };
}

export const retryDigest = retrying(
  "retry-digest",
  `update upload set state = case when state = 'pending' then state else 'failing'::upload_state end,
          next_attempt_at = now(), trying_since = now()
   where attestation_id in (select id from attestation where organization_id = $1 and digest = $4)
     and state <> 'confirmed'`,
);

export const retryAll = retrying(
  "retry-all",
  `update upload set state = 'failing', next_attempt_at = now(), trying_since = now()
   where organization_id = $1 and state <> 'confirmed' and state in ('failing', 'given_up')`,
);

const columns = `id, run_id as "runId", backend_id as "backendId", digest, size_bytes as "sizeBytes", state, attempts,
  next_attempt_at as "nextAttemptAt", last_error as "lastError", created_at as "createdAt", confirmed_at as "confirmedAt"`;

// The states stand in the text, so that the partial indexes fit.
function listing(name: string, states: string): Statement {
  return {
    name: `list-uploads-${name}`,
    text: `select ${columns} from upload where organization_id = $1 and id < $2 and ${states} order by id desc limit $3`,
  };
}

export const listings = {
  unconfirmed: listing("unconfirmed", "state <> 'confirmed'"),
  pending: listing("pending", "state <> 'confirmed' and state = 'pending'"),
  failing: listing("failing", "state <> 'confirmed' and state = 'failing'"),
  given_up: listing("given-up", "state <> 'confirmed' and state = 'given_up'"),
  confirmed: listing("confirmed", "state = 'confirmed'"),
} satisfies Record<string, Statement>;
