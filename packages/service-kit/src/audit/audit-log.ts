import type pg from "pg";

/** Who did what to which resource. */
export interface AuditEntry {
  /** `token NAME (ID)`, or `service NAME` for what a service does by itself. */
  actor: string;
  /** `KIND.VERB`, such as `attestation.delete`. */
  action: string;
  /** `KIND ID`. */
  resource: string;
  /** What else matters to a reader, by name. */
  detail: Record<string, string>;
}

/** An event that is kept. */
export interface AuditEvent extends AuditEntry {
  /** Its number, in decimal; newer events have greater ones. */
  id: string;
  at: Date;
}

export interface AuditFilter {
  organizationId: string;
  /** Only this action; undefined: all. */
  action: string | undefined;
  /** Only events with lower numbers; undefined: from the newest on. */
  beforeId: string | undefined;
  limit: number;
}

// Numbers go up in the order of the entries.
const recordText = `
insert into audit_event (organization_id, actor, action, resource, detail)
select $1::uuid, e.actor, e.action, e.resource, e.detail
from unnest($2::text[], $3::text[], $4::text[], $5::jsonb[]) with ordinality e (actor, action, resource, detail, ord)
order by e.ord`;

const listText = `
select number, at, actor, action, resource, detail from audit_event
where organization_id = $1 and ($2::text is null or action = $2) and ($3::bigint is null or number < $3)
order by number desc limit $4`;

interface Row extends AuditEntry {
  /** A bigint, which pg hands over as text. */
  number: string;
  at: Date;
}

/** The table audit_event, which the database of a service has and to which rows are only ever added. */
export class AuditLog {
  readonly #on: Pick<pg.ClientBase, "query">;

  /** On a pool, or on the connection of a transaction: then events are there exactly if what they tell of is. */
  constructor(on: Pick<pg.ClientBase, "query">) {
    this.#on = on;
  }

  /** Adds the events, in this order. */
  async record(organizationId: string, entries: readonly AuditEntry[]): Promise<void> {
    if (entries.length === 0) return;
    await this.#on.query(recordText, [
      organizationId,
      entries.map(({ actor }) => actor),
      entries.map(({ action }) => action),
      entries.map(({ resource }) => resource),
      entries.map(({ detail }) => JSON.stringify(detail)),
    ]);
  }

  /** Newest first. */
  async list({ organizationId, action, beforeId, limit }: AuditFilter): Promise<AuditEvent[]> {
    const { rows } = await this.#on.query<Row>(listText, [organizationId, action ?? null, beforeId ?? null, limit]);
    return rows.map(({ number, ...event }) => ({ id: number, ...event }));
  }
}
