import { type RetentionBounds, uuidv7 } from "@attestry/service-kit";
import { type NewBackend, parseMaxBytes } from "../backends/backend.ts";
import type { Organization, StorageMode, VerificationMode } from "../organizations/organization.ts";
import { changed, changeEntry, type OrganizationChange } from "../organizations/organization-change.ts";
import { retentionInvalid } from "../organizations/retention.ts";
import { audited } from "./audited.ts";
import type { Prisma, PrismaClient, Organization as Row } from "./client/client.ts";
import { transactionLimits } from "./database.ts";
import { isCheckViolation } from "./faults.ts";
import { readRetentions, retentionColumns } from "./retention-columns.ts";

/** What an organization begins with, where it is not the default. */
export interface FirstSettings {
  storageMode?: StorageMode | null;
  verificationMode?: VerificationMode | undefined;
}

/** Organizations, in the database. */
export class OrganizationStore {
  readonly #prisma: PrismaClient;

  constructor(prisma: PrismaClient) {
    this.#prisma = prisma;
  }

  /** With an inline backend as its default. Null: the name is taken. */
  create(
    name: string,
    actor: string,
    { storageMode = null, verificationMode = "signature" }: FirstSettings = {},
  ): Promise<Organization | null> {
    return this.#prisma.$transaction(async (tx) => {
      const data = [{ id: uuidv7(), name, storageMode, verificationMode }];
      const [organization] = await tx.organization.createManyAndReturn({ data, skipDuplicates: true });
      if (organization === undefined) return null;
      await tx.backend.create({ data: { ...inlineBackend(organization.id), status: "valid" } });
      await audited(tx, organization.id, {
        ...{ actor, action: "organization.create", resource: `organization ${organization.id}` },
        detail: { name, storage_mode: storageMode ?? "default", verification_mode: verificationMode },
      });
      return readOrganization(organization);
    }, transactionLimits);
  }

  async find(id: string): Promise<Organization | null> {
    const row = await this.#prisma.organization.findUnique({ where: { id } });
    return row && readOrganization(row);
  }

  async findByName(name: string): Promise<Organization | null> {
    const row = await this.#prisma.organization.findUnique({ where: { name } });
    return row && readOrganization(row);
  }

  /** Newest first, with ids below `afterId`. */
  async list(afterId: string | undefined, limit: number): Promise<Organization[]> {
    const rows = await this.#prisma.organization.findMany({
      ...(afterId === undefined ? {} : { where: { id: { lt: afterId } } }),
      orderBy: { id: "desc" },
      take: limit,
    });
    return rows.map(readOrganization);
  }

  /** Makes the change and tells the audit log of it, if anything changes. Null: there is no such organization. */
  update(id: string, change: OrganizationChange, actor: string): Promise<Organization | null> {
    return this.#prisma.$transaction(async (tx) => {
      // Locked first, so that what the log calls old is what this change replaced.
      await lockOrganization(tx, id);
      const row = await tx.organization.findUnique({ where: { id } });
      if (row === null) return null;
      const before = readOrganization(row);
      const after = changed(before, change);
      const entry = changeEntry(before, after, actor);
      if (entry === undefined) return before;
      const data = {
        storageMode: after.storageMode,
        verificationMode: after.verificationMode,
        blockOnPolicyViolation: after.blockOnPolicyViolation,
        ...retentionColumns(after.retention),
        ...(isOther(before.retention.materials, after.retention.materials) && { materialKeepChangedAt: new Date() }),
      };
      await tx.organization.update({ where: { id }, data }).catch(refuseRetention);
      await audited(tx, id, entry);
      return after;
    }, transactionLimits);
  }
}

function isOther(before: RetentionBounds, after: RetentionBounds): boolean {
  return before.atLeastSeconds !== after.atLeastSeconds || before.atMostSeconds !== after.atMostSeconds;
}

/** The database has the last word on what is told apart from what it was checked against. */
function refuseRetention(error: unknown): never {
  if (isCheckViolation(error))
    throw retentionInvalid("retention", "at_most 0 or at least at_least", "other bounds", error);
  throw error;
}

/** Changes to one organization and to its backends go one after the other. Runs may start meanwhile. */
export async function lockOrganization(tx: Prisma.TransactionClient, id: string): Promise<void> {
  await tx.$queryRaw`select 1 from organization where id = ${id}::uuid for no key update`;
}

function inlineBackend(organizationId: string): NewBackend {
  return {
    organizationId,
    id: uuidv7(),
    name: "inline",
    provider: "inline",
    secretRef: "",
    prefix: "",
    isDefault: true,
    maxBytes: parseMaxBytes(0n, "inline"),
  };
}

export function readOrganization(row: Row): Organization {
  const { id, name, createdAt, storageMode, verificationMode, blockOnPolicyViolation } = row;
  const trustRevision = row.trustRevision ?? 0;
  return {
    ...{ id, name, createdAt, storageMode, verificationMode, trustRevision, blockOnPolicyViolation },
    retention: readRetentions(row),
  };
}
