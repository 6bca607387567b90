import type { Backend, BackendChange, NewBackend } from "../backends/backend.ts";
import { mostBackends } from "../backends/backend.ts";
import { backendChangeEntry, backendEntry } from "../backends/backend-audit.ts";
import type { Validation, ValidationStore } from "../backends/validator.ts";
import { audited } from "./audited.ts";
import type { Prisma, PrismaClient, Backend as Row } from "./client/client.ts";
import { transactionLimits } from "./database.ts";
import { isForeignKeyViolation } from "./faults.ts";
import { lockOrganization } from "./organization-store.ts";

/** The registry of backends, in the database. */
export class BackendStore implements ValidationStore {
  readonly #prisma: PrismaClient;

  constructor(prisma: PrismaClient) {
    this.#prisma = prisma;
  }

  /** Registers it, as the default in place of the present one if it is one. */
  create(backend: NewBackend, actor: string): Promise<Backend | SamePlace | "exists" | "too many"> {
    return this.#prisma.$transaction(async (tx) => {
      await lockOrganization(tx, backend.organizationId);
      const { organizationId, name, provider } = backend;
      const existing = await tx.backend.findUnique({ where: { organizationId_name: { organizationId, name } } });
      if (existing !== null) return "exists";
      if ((await tx.backend.count({ where: { organizationId } })) >= mostBackends) return "too many";
      const same = await atPlaceOf(tx, backend);
      if (same !== null) return { samePlaceAs: same.name };
      if (backend.isDefault) await clearDefault(tx, organizationId);
      const isInline = provider === "inline";
      const status = isInline ? "valid" : "unknown";
      const nextValidationAt = isInline ? null : new Date();
      await audited(tx, organizationId, backendEntry("create", backend, actor));
      return read(await tx.backend.create({ data: { ...backend, status, nextValidationAt, uploadsSince: null } }));
    }, transactionLimits);
  }

  /** A changed secret makes the status unknown. Null: there is none. */
  update(
    organizationId: string,
    id: string,
    change: BackendChange,
    actor: string,
  ): Promise<Backend | SamePlace | null> {
    return this.#prisma.$transaction(async (tx) => {
      await lockOrganization(tx, organizationId);
      const where = { organizationId_id: { organizationId, id } };
      const present = await tx.backend.findUnique({ where });
      if (present === null) return null;
      const secretRef = change.secretRef ?? present.secretRef;
      const same = secretRef === present.secretRef ? null : await atPlaceOf(tx, { ...present, secretRef });
      if (same !== null) return { samePlaceAs: same.name };
      if (change.makeDefault && !present.isDefault) await clearDefault(tx, organizationId);
      const data = {
        ...(change.maxBytes === undefined ? {} : { maxBytes: change.maxBytes }),
        ...(change.makeDefault ? { isDefault: true } : {}),
        ...(secretRef === present.secretRef ? {} : { ...unvalidated, secretRef, nextValidationAt: new Date() }),
      };
      const updated = read(await tx.backend.update({ where, data }));
      const entry = backendChangeEntry(read(present), updated, actor);
      if (entry !== undefined) await audited(tx, organizationId, entry);
      return updated;
    }, transactionLimits);
  }

  /** The foreign key of runs keeps one that was ever a default; the mark of uploads keeps what has blobs without a run. */
  async delete(
    organizationId: string,
    name: string,
    actor: string,
  ): Promise<"deleted" | "default" | "has runs" | "has uploads" | "not found"> {
    try {
      const unused = { OR: [{ uploadsSince: null }, { provider: "inline" as const }] };
      const where = { organizationId, name, isDefault: false, ...unused };
      if (await this.#delete(where, actor)) return "deleted";
    } catch (error) {
      if (isForeignKeyViolation(error)) return "has runs";
      throw error;
    }
    const present = await this.findByName(organizationId, name);
    if (present === null) return "not found";
    return present.isDefault ? "default" : "has uploads";
  }

  #delete(where: Prisma.BackendWhereInput & { organizationId: string; name: string }, actor: string): Promise<boolean> {
    return this.#prisma.$transaction(async (tx) => {
      const { organizationId, name } = where;
      await lockOrganization(tx, organizationId);
      const present = await tx.backend.findUnique({ where: { organizationId_name: { organizationId, name } } });
      // The conditions once more: uploads may be allowed meanwhile, which takes no lock.
      const { count } = await tx.backend.deleteMany({ where });
      if (present === null || count === 0) return false;
      await audited(tx, organizationId, backendEntry("delete", read(present), actor));
      return true;
    }, transactionLimits);
  }

  /** Notes that blobs may be put there from now on, once. False: it is gone. */
  async markUploads({ organizationId, id }: Backend): Promise<boolean> {
    const { count } = await this.#prisma.backend.updateMany({
      where: { organizationId, id, uploadsSince: null },
      data: { uploadsSince: new Date() },
    });
    return count > 0 || (await this.find(organizationId, id)) !== null;
  }

  async find(organizationId: string, id: string): Promise<Backend | null> {
    const row = await this.#prisma.backend.findUnique({ where: { organizationId_id: { organizationId, id } } });
    return row && read(row);
  }

  async findByName(organizationId: string, name: string): Promise<Backend | null> {
    const row = await this.#prisma.backend.findUnique({ where: { organizationId_name: { organizationId, name } } });
    return row && read(row);
  }

  async findDefault(organizationId: string): Promise<Backend | null> {
    const row = await this.#prisma.backend.findFirst({ where: { organizationId, isDefault: true } });
    return row && read(row);
  }

  /** In order of name. */
  async list(organizationId: string): Promise<Backend[]> {
    const rows = await this.#prisma.backend.findMany({ where: { organizationId }, orderBy: { name: "asc" } });
    return rows.map(read);
  }

  async recordValidation(backend: Backend, validation: Validation): Promise<Backend | null> {
    const { organizationId, id, secretRef } = backend;
    const { status, error, notes } = validation;
    const now = Date.now();
    await this.#prisma.backend.updateMany({
      // What was found out about a former secret says nothing about the present one.
      where: { organizationId, id, secretRef },
      data: {
        ...(status === undefined ? {} : { status, validatedAt: new Date(now) }),
        validationError: storable(error),
        ...(notes === undefined ? {} : { validationNotes: notes.slice(0, mostNotes).map(storable) }),
        nextValidationAt: new Date(now + validation.nextInMs),
      },
    });
    return this.find(organizationId, id);
  }

  async claimDue(limit: number, leaseMs: number): Promise<{ backend: Backend; organization: string }[]> {
    const claimed = await this.#prisma.$queryRaw<{ organization_id: string; id: string }[]>`
      with due as (
        select organization_id, id from backend
        where next_validation_at <= now()
        order by next_validation_at limit ${limit}
        for update skip locked)
      update backend set next_validation_at = now() + ${leaseMs} * interval '1 millisecond'
      from due where backend.organization_id = due.organization_id and backend.id = due.id
      returning backend.organization_id, backend.id`;
    const keys = claimed.map(({ organization_id: organizationId, id }) => ({ organizationId, id }));
    if (keys.length === 0) return [];
    const rows = await this.#prisma.backend.findMany({ where: { OR: keys }, include: { organization: true } });
    return rows.map(({ organization, ...row }) => ({ backend: read(row), organization: organization.name }));
  }
}

/** Another backend of the organization that keeps its blobs at the same place is called so. */
export interface SamePlace {
  samePlaceAs: string;
}

/**
 * Another backend of the organization with the same place. Two would hold one copy of the same bytes, and what gc deletes
 * from the one would be gone from the other. Older builds let such through, so no index can refuse them.
 */
function atPlaceOf(
  tx: Prisma.TransactionClient,
  {
    organizationId,
    id,
    provider,
    secretRef,
    prefix,
  }: Pick<Row, "organizationId" | "id" | "provider" | "secretRef" | "prefix">,
): Promise<{ name: string } | null> | null {
  if (provider === "inline") return null;
  const where = { organizationId, id: { not: id }, provider, secretRef, prefix };
  return tx.backend.findFirst({ where, select: { name: true }, orderBy: { name: "asc" } });
}

const unvalidated = { status: "unknown" as const, validatedAt: null, validationError: "", validationNotes: [] };

const mostNotes = 20;

/** PostgreSQL keeps no zero bytes. */
function storable(text: string): string {
  return text.slice(0, 2_048).replaceAll("\0", "");
}

async function clearDefault(tx: Prisma.TransactionClient, organizationId: string): Promise<void> {
  await tx.backend.updateMany({ where: { organizationId, isDefault: true }, data: { isDefault: false } });
}

function read(row: Row): Backend {
  const { nextValidationAt: _, maxBytes, ...backend } = row;
  return { ...backend, maxBytes: Number(maxBytes) };
}
