import { type Digest, digestBytes, digestFromBytes } from "@attestry/bundle";
import { firstIdAt } from "@attestry/service-kit";
import type { Pool } from "pg";
import type { Statement } from "./statement.ts";

/** A bundle in a backend. */
export interface BlobPlace {
  organizationId: string;
  backendId: string;
  digest: Digest;
}

export interface UnusedBlob extends BlobPlace {
  touched: Date;
  /** An attestation refers to it after all, or to the same bytes in another backend. */
  referred: boolean;
}

/** What a gc holds: nobody uploads these bytes to that backend before `until`, by the database's clock. */
export interface GcLease extends BlobPlace {
  owner: string;
  until: Date;
  /** The same, or sooner, by performance.now(): what the clocks of hosts say does not matter here. */
  endsAt: number;
}

const leaseMs = 5 * 60_000;

// An upload ends, or is cut, within hours: so no upload is under way under an intent that was not touched for so long.
const old = "touched < now() - interval '24 hours'";
const free = `((state = 'idle' and ${old}) or (state = 'deleting' and gc_until <= now()))`;
const ofPlace = "organization_id = $1 and backend_id = $2 and digest = $3";

/** Where attestations refer to a blob: "elsewhere", only in other backends; what may be the same place by another name. */
export type Reference = "here" | "elsewhere" | "nowhere";

const sameBytes = "select from attestation a where a.digest = i.digest and a.organization_id = i.organization_id";

/** Of an intent `i`. Also a row without an upload row counts: the reconciler is going to write one. */
const referredHere = `exists (${sameBytes}
    and (a.backend_id = i.backend_id
         or exists (select from upload u where u.attestation_id = a.id and u.backend_id = i.backend_id)))`;

/** Rows whose bytes are in the database alone do not count, except where an older build did not say so. */
const referredAnywhere = `exists (${sameBytes}
    and (a.backend_id = i.backend_id or a.external is distinct from false
         or exists (select from upload u where u.attestation_id = a.id)))`;

/** One page of a list; `which` stands in the text, beside what may be deleted at all. */
function listing(name: string, which: string): Statement {
  return {
    name,
    text: `select i.organization_id as "organizationId", i.backend_id as "backendId", i.digest, i.touched,
                  ${referredAnywhere} as referred
           from intent i
           where i.organization_id = $1 and (i.backend_id, i.digest) > ($2, $3) and ${free} and ${which}
           order by i.backend_id, i.digest limit $4`,
  };
}

/** Changes an intent that gc holds, and says so in an audit event: `$5` did `$6` to the blob. */
function noted(name: string, change: string): Statement {
  return {
    name,
    text: `with changed as (${change} returning organization_id, backend_id, digest, retired), noted as (
             insert into audit_event (organization_id, actor, action, resource, detail)
             select organization_id, $5, $6, 'blob sha256:' || encode(digest, 'hex'),
                    jsonb_build_object('backend_id', backend_id::text, 'retired', retired::text) from changed
           ) select from changed`,
  };
}

const allUnused = listing("list-unused-blobs", "true");
const retiredUnused = listing("list-retired-blobs", "i.retired");

const held = `${ofPlace} and gc_owner = $4 and state = 'deleting'`;
const toIdle = `update intent set state = 'idle', gc_owner = null, gc_until = null where ${held}`;
const dropped = noted("drop-unused-blob", `delete from intent where ${held} and ${old}`);
const postponed = `update intent set state = 'idle', gc_owner = null, gc_until = null, touched = now() where ${held}`;
const touchedSince = noted("end-touched-unused-blob", toIdle);

type After = Pick<BlobPlace, "backendId" | "digest"> | undefined;

/**
 * The blobs that intents speak of and that may be deleted. Each step is one statement with nothing open after it, since
 * a call to the gateway lies between: mark, then look for rows, then delete the blob, then finish.
 */
export class UnusedBlobs {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** In order of backend and digest, after the place given. */
  list(organizationId: string, after: After, limit: number): Promise<UnusedBlob[]> {
    return this.#page(allUnused, organizationId, after, limit);
  }

  /** Only those of attestations that retention deleted. */
  listRetired(organizationId: string, after: After, limit: number): Promise<UnusedBlob[]> {
    return this.#page(retiredUnused, organizationId, after, limit);
  }

  async #page(statement: Statement, organizationId: string, after: After, limit: number): Promise<UnusedBlob[]> {
    const { rows } = await this.#pool.query<Omit<UnusedBlob, "digest"> & { digest: Buffer }>({
      ...statement,
      values: [
        organizationId,
        after?.backendId ?? firstIdAt(0),
        after === undefined ? Buffer.alloc(0) : digestBytes(after.digest),
        limit,
      ],
    });
    return rows.map((row) => ({ ...row, digest: digestFromBytes(row.digest) }));
  }

  /** Takes the lease; undefined if it was touched meanwhile or another gc has it. */
  async mark(place: BlobPlace, owner: string): Promise<GcLease | undefined> {
    const endsAt = performance.now() + leaseMs;
    const { rows } = await this.#pool.query<{ until: Date }>({
      name: "mark-unused-blob",
      text: `update intent set state = 'deleting', gc_owner = $4, gc_until = now() + $5 * interval '1 millisecond'
             where ${ofPlace} and ${free} returning gc_until as until`,
      values: [...valuesOf(place), owner, leaseMs],
    });
    const until = rows[0]?.until;
    return until && { ...place, owner, until, endsAt };
  }

  /** Where attestations refer to the blob. To be asked after the mark, never before. */
  async referenced(place: BlobPlace): Promise<Reference> {
    const { rows } = await this.#pool.query<{ referenced: Reference }>({
      name: "where-blob-is-referred",
      text: `select case when ${referredHere} then 'here' when ${referredAnywhere} then 'elsewhere' else 'nowhere' end
                    as referenced
             from (select $1::uuid as organization_id, $2::uuid as backend_id, $3::bytea as digest) i`,
      values: valuesOf(place),
    });
    return rows[0]?.referenced ?? "here";
  }

  /**
   * Ends the lease if it is still its own: the intent goes, or becomes idle if it was touched since the mark. That is
   * so if it is younger than any that may be marked, also when an earlier gc's mark was taken over. The audit event is
   * written with it: whoever dies before has its lease taken over by a gc that does both.
   */
  async finish({ owner, ...place }: GcLease, outcome: "deleted" | "kept", actor: string): Promise<void> {
    const values = [...valuesOf(place), owner, actor, outcome === "deleted" ? "blob.delete" : "blob.keep"];
    const { rowCount } = await this.#pool.query({ ...dropped, values });
    if (rowCount === 0) await this.#pool.query({ ...touchedSince, values });
  }

  /**
   * Ends the lease, if it is still its own, and leaves the blob to a gc a day later: only other backends have attestations
   * of the same bytes, and once those have gone nobody else would know of this copy.
   */
  async postpone({ owner, ...place }: GcLease): Promise<void> {
    await this.#pool.query({ name: "postpone-unused-blob", text: postponed, values: [...valuesOf(place), owner] });
  }

  /** Gives the lease back, if it is still its own: nothing was sent to the backend under it. */
  async release({ owner, ...place }: Omit<GcLease, "until" | "endsAt">): Promise<void> {
    await this.#pool.query({
      name: "release-unused-blob",
      text: toIdle,
      values: [...valuesOf(place), owner],
    });
  }
}

function valuesOf({ organizationId, backendId, digest }: BlobPlace): unknown[] {
  return [organizationId, backendId, digestBytes(digest)];
}
