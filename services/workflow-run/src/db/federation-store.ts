import type { AuditEntry } from "@attestry/service-kit/audit";
import { type ClaimCondition, type FederationRule, mostRules, type NewFederationRule } from "../federation/rule.ts";
import { audited } from "./audited.ts";
import type { Prisma, PrismaClient, FederationRule as Row } from "./client/client.ts";
import { transactionLimits } from "./database.ts";
import { lockOrganization } from "./organization-store.ts";
import { revokeOfRule } from "./token-store.ts";

/** Federation rules, in the database. Each change is told to the audit log with it. */
export class FederationStore {
  readonly #prisma: PrismaClient;

  constructor(prisma: PrismaClient) {
    this.#prisma = prisma;
  }

  create(rule: NewFederationRule, entry: AuditEntry): Promise<FederationRule | "exists" | "too many"> {
    return this.#prisma.$transaction(async (tx) => {
      const { organizationId, name } = rule;
      await lockOrganization(tx, organizationId);
      if ((await tx.federationRule.count({ where: { organizationId, name } })) > 0) return "exists";
      if ((await tx.federationRule.count({ where: { organizationId } })) >= mostRules) return "too many";
      const made = await tx.federationRule.create({ data: { ...rule, conditions: rule.conditions.map(plain) } });
      await audited(tx, organizationId, entry);
      return read(made);
    }, transactionLimits);
  }

  /** Oldest first. */
  async list(organizationId: string): Promise<FederationRule[]> {
    return (await this.#prisma.federationRule.findMany({ where: { organizationId }, orderBy: { id: "asc" } })).map(
      read,
    );
  }

  /** Removes a rule, and revokes the tokens that it gave. False: there is none. */
  delete(
    organizationId: string,
    name: string,
    entry: (rule: FederationRule, revokedTokens: number) => AuditEntry,
  ): Promise<boolean> {
    return this.#prisma.$transaction(async (tx) => {
      await lockOrganization(tx, organizationId);
      const row = await tx.federationRule.findUnique({ where: { organizationId_name: { organizationId, name } } });
      if (row === null) return false;
      await tx.federationRule.delete({ where: { organizationId_id: { organizationId, id: row.id } } });
      // In a statement after it: a token that was being given meanwhile is there now.
      const revokedTokens = await revokeOfRule(tx, organizationId, row.id);
      await audited(tx, organizationId, entry(read(row), revokedTokens));
      return true;
    }, transactionLimits);
  }
}

function plain({ claim, pattern }: ClaimCondition): Prisma.InputJsonObject {
  return { claim, pattern };
}

function read(row: Row): FederationRule {
  const { id, name, issuer, audience, lifetimeSeconds, createdAt } = row;
  if (row.role === "admin") throw new Error("the database has a federation rule that makes admins");
  const conditions = row.conditions as unknown as ClaimCondition[];
  return { id, name, issuer, audience, conditions, role: row.role, lifetimeSeconds, createdAt };
}
