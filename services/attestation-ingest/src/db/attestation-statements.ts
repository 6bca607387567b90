import type { Statement } from "./statement.ts";

const kept = `
  kept as (
    insert into attestation (id, organization_id, run_id, workflow_id, project, workflow, backend_id, digest, size_bytes,
                             media_type, predicate_type, subjects, mode, bundle, received_at, plan_given_at,
                             external, retain_until, verification_mode, verification_result, signer, issuer, integrated_at,
                             trust_revision, policy_summary, token_id)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $18,
            now() + nullif($19::float8, 0) * interval '1 second', $20, $21, $22, $23, $24, $25, $26, $28)
    on conflict (organization_id, run_id) do nothing
    returning id
  ), subjects as (
    insert into attestation_subject (organization_id, digest_key, attestation_id)
    select $2, key, kept.id from kept, jsonb_array_elements_text($17::jsonb) as key
  ), materials as (
    insert into attestation_material (organization_id, digest_key, attestation_id)
    select $2, key, kept.id from kept, jsonb_array_elements_text($27::jsonb) as key
  )`;

function upload(state: "pending" | "confirmed"): string {
  return `
  upload as (
    insert into upload (id, organization_id, attestation_id, run_id, backend_id, digest, size_bytes, state, confirmed_at)
    select $1, $2, kept.id, $3, $7, $8, $9, '${state}', ${state === "confirmed" ? "now()" : "null"} from kept
  )`;
}

export const insertWithoutUpload: Statement = {
  name: "insert-attestation",
  text: `with ${kept} select id from kept`,
};

export const insertWithPendingUpload: Statement = {
  name: "insert-attestation-to-upload",
  text: `with ${kept}, ${upload("pending")} select id from kept`,
};

// An intent that gc holds stays: gc finds the row, and ends its own intent.
export const insertWithConfirmedUpload: Statement = {
  name: "insert-attestation-uploaded",
  text: `with ${kept}, ${upload("confirmed")}, intent_done as (
    delete from intent
    where organization_id = $2 and backend_id = $7 and digest = $8 and state = 'idle' and exists (select from kept)
  ) select id from kept`,
};

// The uploads are those that the statement's snapshot has; their rows fall with the attestation's. A row that should
// have one and has none (of a restored database) leaves an intent all the same.
export const removeUnlessVisible: Statement = {
  name: "remove-refused",
  text: `with gone as (
    delete from attestation
    where run_id = $2 and organization_id is not distinct from $1 and digest = $3 and not visible
    returning id, organization_id, backend_id, digest, external
  ), intents as (
    insert into intent (organization_id, backend_id, digest)
    select u.organization_id, u.backend_id, u.digest from upload u join gone on gone.id = u.attestation_id
    union
    select organization_id, backend_id, digest from gone where external
    on conflict (organization_id, backend_id, digest) do update set touched = now()
  ) select id from gone`,
};

export const readBundle: Statement = {
  name: "read-bundle",
  text: `select bundle from attestation
         where digest = $2 and organization_id is not distinct from $1 and bundle is not null
         order by id desc limit 1`,
};

/** Of an attestation `a`; the bundle stays where it is. */
const columns = `a.id, a.organization_id as "organizationId", a.run_id as "runId", a.workflow_id as "workflowId", a.project,
  a.workflow, a.digest, a.size_bytes as "sizeBytes", a.media_type as "mediaType", a.predicate_type as "predicateType",
  a.subjects, a.mode, a.received_at as "receivedAt", a.plan_given_at as "planGivenAt", a.visible,
  a.policy_summary as "policySummary", a.token_id as "tokenId",
  a.verification_mode as "verificationMode", a.verification_result as "verificationResult", a.signer, a.issuer,
  a.integrated_at as "integratedAt", a.trust_revision as "trustRevision",
  (select coalesce(json_agg(json_build_object('backendId', u.backend_id, 'state', u.state) order by u.id), '[]')
   from upload u where u.attestation_id = a.id) as uploads`;

// These statements are planned once for each connection, perhaps while the table is empty and every index looks as good
// as any. So only one can serve: "is not distinct from" keeps those of the organization out, and what is left is the
// unique one of the run, or the one of the digest. Lateral with a limit: one descent of it for each key.
function byRuns(name: string, select: string, which = "true"): Statement {
  return {
    name,
    text: `select k.n, found.*
           from unnest($1::uuid[], $2::uuid[]) with ordinality as k(organization_id, run_id, n)
           cross join lateral (
             ${select}
             where a.run_id = k.run_id and a.organization_id is not distinct from k.organization_id and ${which}
             limit 1
           ) found`,
  };
}

export const findByRun = byRuns("attestations-of-runs", `select ${columns} from attestation a`, "a.expired_at is null");

/** What Store needs to know. */
export const findStored = byRuns(
  "stored-attestations",
  `select a.id, a.organization_id as "organizationId", a.run_id as "runId", a.digest, a.mode, a.visible,
          a.plan_given_at as "planGivenAt", a.policy_summary as "policySummary", a.expired_at as "expiredAt", u.state as upload
   from attestation a left join upload u on u.attestation_id = a.id and u.backend_id = a.backend_id`,
);

/** Of these digests those that the organization has an attestation of, which it is shown. */
export const findShown: Statement = {
  name: "shown-digests",
  text: `select k.digest from unnest($2::bytea[]) as k(digest)
         where exists (
           select from attestation a
           where a.digest = k.digest and a.organization_id is not distinct from $1 and a.visible and a.expired_at is null)`,
};

const latestOfDigest = (which: string): string => `
  (select ${columns} from attestation a
   where a.digest = k.digest and a.organization_id is not distinct from k.organization_id
     and a.expired_at is null and ${which}
   order by a.id desc limit 1)`;

export const findByDigest: Statement = {
  name: "attestations-of-digests",
  text: `select k.n, a.*
         from unnest($1::uuid[], $2::bytea[]) with ordinality as k(organization_id, digest, n)
         cross join lateral (
           select * from (${latestOfDigest("a.visible")} union all ${latestOfDigest("not a.visible")}) latest limit 1
         ) a`,
};

export const prune: Statement = {
  name: "prune",
  text: `update attestation set bundle = null
         where id in (
           select a.id from attestation a
           where a.mode = 'spool' and a.bundle is not null and a.visible
             and exists (select from upload u where u.attestation_id = a.id)
             and not exists (
               select from upload u where u.attestation_id = a.id
                 and (u.state <> 'confirmed' or u.confirmed_at > now() - $1 * interval '1 millisecond'))
           order by a.id limit $2 for no key update skip locked)`,
};
