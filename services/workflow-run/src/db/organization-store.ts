import { uuidv7 } from "@attestry/service-kit";
import { type NewBackend, parseMaxBytes } from "../backends/backend.ts";
import type { Organization, StorageMode } from "../organizations/organization.ts";
import type { PrismaClient } from "./client/client.ts";
import { transactionLimits } from "./database.ts";

/** Organizations, in the database. */
export class OrganizationStore {
  readonly #prisma: PrismaClient;

  constructor(prisma: PrismaClient) {
    this.#prisma = prisma;
  }

  /** With an inline backend as its default. Null: the name is taken. */
  create(name: string, storageMode: StorageMode | null): Promise<Organization | null> {
    return this.#prisma.$transaction(async (tx) => {
      const data = [{ id: uuidv7(), name, storageMode }];
      const [organization] = await tx.organization.createManyAndReturn({ data, skipDuplicates: true });
      if (organization === undefined) return null;
      await tx.backend.create({ data: { ...inlineBackend(organization.id), status: "valid" } });
      return organization;
    }, transactionLimits);
  }

  find(id: string): Promise<Organization | null> {
    return this.#prisma.organization.findUnique({ where: { id } });
  }

  findByName(name: string): Promise<Organization | null> {
    return this.#prisma.organization.findUnique({ where: { name } });
  }

  /** Newest first, with ids below `afterId`. */
  list(afterId: string | undefined, limit: number): Promise<Organization[]> {
    return this.#prisma.organization.findMany({
      ...(afterId === undefined ? {} : { where: { id: { lt: afterId } } }),
      orderBy: { id: "desc" },
      take: limit,
    });
  }

  async setStorageMode(id: string, storageMode: StorageMode | null): Promise<Organization | null> {
    const [organization] = await this.#prisma.organization.updateManyAndReturn({
      where: { id },
      data: { storageMode },
    });
    return organization ?? null;
  }
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
