import { isUuid, type TokenUse } from "@attestry/service-kit";
import type { AuditEntry } from "@attestry/service-kit/audit";
import { type NewFederatedToken, type NewToken, type Token, tokenEntry } from "../tokens/token.ts";
import { audited } from "./audited.ts";
import type { Prisma, PrismaClient } from "./client/client.ts";
import { transactionLimits } from "./database.ts";

/** Taken by every revocation, so that their numbers become visible in their order. */
const revocationLock = 7_700_002;
/** Taken while it is looked whether there is a first token. */
const bootstrapLock = 7_700_003;

/** No clocks that tokens are judged by are further apart. */
const clocksApartMs = 24 * 3_600_000;

export interface RevokedPage {
  tokenIds: string[];
  /** When each of them runs out, in seconds since 1970; 0: never. */
  expiresAtSeconds: bigint[];
  nextCursor: bigint;
  more: boolean;
}

/** API tokens, in the database; never their secrets. */
export class TokenStore {
  readonly #prisma: PrismaClient;

  constructor(prisma: PrismaClient) {
    this.#prisma = prisma;
  }

  /** Null: one that is not revoked has the name. */
  create(token: NewToken, actor: string): Promise<Token | null> {
    return this.#prisma.$transaction(async (tx) => {
      const [made] = await tx.token.createManyAndReturn({ data: [token], skipDuplicates: true });
      if (made !== undefined) await audited(tx, token.organizationId, tokenEntry("create", made, actor));
      return made ?? null;
    }, transactionLimits);
  }

  /** One for an ID token, told to the audit log with it. Null: its rule is no longer there. */
  createFederated(token: NewFederatedToken, entry: AuditEntry): Promise<Token | null> {
    return this.#prisma.$transaction(async (tx) => {
      // Whoever deletes the rule waits for this, and then revokes the token.
      const rules = await tx.$queryRaw<unknown[]>`
        select 1 from federation_rule
        where organization_id = ${token.organizationId}::uuid and id = ${token.federationRuleId}::uuid for share`;
      if (rules.length === 0) return null;
      const made = await tx.token.create({ data: token });
      await audited(tx, token.organizationId, entry);
      return made;
    }, transactionLimits);
  }

  /**
   * Removes at most `limit` tokens that federation gave and that ran out a week ago; the audit log keeps what they were.
   * The one that was revoked last stays: the numbers of revocations must not come twice. Answers how many.
   */
  forgetFederated(limit: number): Promise<number> {
    return this.#prisma.$executeRaw`
      delete from token where id in (
        select id from token where federated and expires_at < now() - interval '7 days'
          and (revocation is null or revocation < (select max(revocation) from token))
        limit ${limit} for update skip locked)`;
  }

  find(organizationId: string, id: string): Promise<Token | null> {
    return this.#prisma.token.findUnique({ where: { organizationId_id: { organizationId, id } } });
  }

  /** The oldest instance admin's token of that name. */
  findFirst(organizationId: string, name: string): Promise<Token | null> {
    return findFirst(this.#prisma, organizationId, name);
  }

  /** The token of that name, or the one that is given; whoever comes first makes it. */
  findOrCreateFirst(token: NewToken, actor: string): Promise<{ token: Token; created: boolean }> {
    return this.#prisma.$transaction(async (tx) => {
      await tx.$executeRaw`select pg_advisory_xact_lock(${bootstrapLock})`;
      const first = await findFirst(tx, token.organizationId, token.name);
      if (first !== null) return { token: first, created: false };
      const made = await tx.token.create({ data: token });
      await audited(tx, token.organizationId, tokenEntry("create", made, actor));
      return { token: made, created: true };
    }, transactionLimits);
  }

  /** Newest first, with ids below `afterId`. */
  list(organizationId: string, afterId: string | undefined, limit: number): Promise<Token[]> {
    return this.#prisma.token.findMany({
      where: { organizationId, ...(afterId === undefined ? {} : { id: { lt: afterId } }) },
      orderBy: { id: "desc" },
      take: limit,
    });
  }

  /** By id or name; of the tokens of one name the one that is not revoked, else the latest. Idempotent. Null: there is none. */
  revoke(organizationId: string, idOrName: string, actor: string): Promise<Token | null> {
    return this.#prisma.$transaction(async (tx) => {
      await lockRevocations(tx);
      const found = await find(tx, organizationId, idOrName);
      if (found === null || found.revokedAt !== null) return found;
      const { _max } = await tx.token.aggregate({ _max: { revocation: true } });
      const data = { revokedAt: new Date(), revocation: (_max.revocation ?? 0n) + 1n };
      await audited(tx, organizationId, tokenEntry("revoke", found, actor));
      return tx.token.update({ where: { id: found.id }, data });
    }, transactionLimits);
  }

  /** Notes the newest use of each, never an older one; what is not known is left out. */
  async recordUses(uses: readonly TokenUse[]): Promise<void> {
    const ids = uses.map(({ tokenId }) => tokenId);
    const ago = uses.map(({ agoMs }) => agoMs);
    // Locked in order, so that the reports of two services do not block each other for ever.
    await this.#prisma.$executeRaw`
      with told as (
        select id, now() - min(ago_ms) * interval '1 millisecond' as at
        from unnest(${ids}::uuid[], ${ago}::float8[]) u (id, ago_ms) group by id),
      locked as materialized (
        select t.id, told.at from token t join told on told.id = t.id order by t.id for no key update of t)
      update token set last_used_at = greatest(last_used_at, locked.at) from locked
      where token.id = locked.id and (token.last_used_at is null or token.last_used_at < locked.at)`;
  }

  /** What was revoked after the cursor and may still count as valid somewhere, oldest first. */
  async listRevoked(cursor: bigint, limit: number): Promise<RevokedPage> {
    const { _max } = await this.#prisma.token.aggregate({ _max: { revocation: true } });
    const newest = _max.revocation ?? 0n;
    // A cursor from the future is of a database that was since restored from a backup: everything is told again.
    const after = cursor > newest ? 0n : cursor;
    const rows = await this.#prisma.token.findMany({
      where: { revocation: { gt: after }, OR: [{ expiresAt: null }, { expiresAt: { gt: longGone() } }] },
      orderBy: { revocation: "asc" },
      take: limit + 1,
      select: { id: true, revocation: true, expiresAt: true },
    });
    const page = rows.slice(0, limit);
    return {
      tokenIds: page.map((row) => row.id),
      expiresAtSeconds: page.map(({ expiresAt }) => BigInt(Math.ceil((expiresAt?.getTime() ?? 0) / 1_000))),
      nextCursor: page.at(-1)?.revocation ?? after,
      more: rows.length > limit,
    };
  }
}

/** Revokes what was given by a rule and may still count as valid somewhere. Answers how many. */
export async function revokeOfRule(
  tx: Prisma.TransactionClient,
  organizationId: string,
  ruleId: string,
): Promise<number> {
  await lockRevocations(tx);
  // Locked in the order of recordUses.
  return tx.$executeRaw`
    with locked as materialized (
      select id from token
      where organization_id = ${organizationId}::uuid and federation_rule_id = ${ruleId}::uuid
        and revoked_at is null and expires_at > ${longGone()} order by id for no key update),
    numbered as (
      select id, (select coalesce(max(revocation), 0) from token) + row_number() over (order by id) as revocation from locked)
    update token set revoked_at = now(), revocation = numbered.revocation from numbered where token.id = numbered.id`;
}

/** Numbers are taken and committed under this lock: whoever reads one has seen all lower ones. */
async function lockRevocations(tx: Prisma.TransactionClient): Promise<void> {
  await tx.$executeRaw`select pg_advisory_xact_lock(${revocationLock})`;
}

/** What ran out before then is refused without being revoked, also where the clock is behind the one here. */
function longGone(): Date {
  return new Date(Date.now() - clocksApartMs);
}

function findFirst(client: Prisma.TransactionClient, organizationId: string, name: string): Promise<Token | null> {
  return client.token.findFirst({ where: { organizationId, name, instanceAdmin: true }, orderBy: { id: "asc" } });
}

function find(tx: Prisma.TransactionClient, organizationId: string, idOrName: string): Promise<Token | null> {
  if (isUuid(idOrName)) {
    return tx.token.findUnique({ where: { organizationId_id: { organizationId, id: idOrName.toLowerCase() } } });
  }
  return tx.token.findFirst({
    where: { organizationId, name: idOrName },
    orderBy: [{ revokedAt: { sort: "desc", nulls: "first" } }],
  });
}
