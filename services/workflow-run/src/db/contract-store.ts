import { uuidv7 } from "@attestry/service-kit";
import type pg from "pg";
import {
  type Contract,
  type ContractRevision,
  type ContractText,
  contractNotFound,
  type NewContract,
  revisionNotFound,
} from "../contracts/contract.ts";
import { contractChangeEntry, contractEntry } from "../contracts/contract-audit.ts";
import { audited } from "./audited.ts";
import type { Prisma, PrismaClient } from "./client/client.ts";
import { type ContractRow, readContract, selectContractsFrom } from "./contract-rows.ts";
import { type Database, transactionLimits } from "./database.ts";

export interface ContractChange {
  description: string | undefined;
  text: ContractText | undefined;
}

/** Contracts and their texts, in the database: a row for each revision, counted by a trigger. */
export class ContractStore {
  readonly #prisma: PrismaClient;
  readonly #pool: pg.Pool;

  constructor({ prisma, pool }: Pick<Database, "prisma" | "pool">) {
    this.#prisma = prisma;
    this.#pool = pool;
  }

  /** With its revision 1. False: the name is taken. */
  create(contract: NewContract, actor: string): Promise<boolean> {
    return this.#prisma.$transaction(
      async (tx) => (await addContract(tx, contract, actor)) !== undefined,
      transactionLimits,
    );
  }

  /**
   * A contract with one of its texts; 0: the latest. Throws CONTRACT_NOT_FOUND, CONTRACT_REVISION_NOT_FOUND.
   */
  async get(
    organizationId: string,
    name: string,
    revision: number,
  ): Promise<{ contract: Contract; revision: ContractRevision }> {
    const contract = await this.find(organizationId, name);
    if (contract === null) throw contractNotFound(name);
    const key = { organizationId, contractId: contract.id, revision: revision || contract.latestRevision };
    const found = await this.#prisma.contractRevision.findUnique({
      where: { organizationId_contractId_revision: key },
    });
    if (found === null) throw revisionNotFound(contract, revision);
    return { contract, revision: found };
  }

  async find(organizationId: string, name: string): Promise<Contract | null> {
    const source = "(select * from contract where organization_id = $1 and name = $2) c";
    const { rows } = await this.#pool.query<ContractRow>(selectContractsFrom(source), [organizationId, name]);
    return rows[0] === undefined ? null : readContract(rows[0]);
  }

  /** Newest first, with ids below `afterId`. `project`: undefined for all. */
  async list(
    organizationId: string,
    project: string | undefined,
    afterId: string | undefined,
    limit: number,
  ): Promise<Contract[]> {
    const values: unknown[] = [organizationId, limit];
    const conditions = ["organization_id = $1"];
    if (project !== undefined) conditions.push(`project = $${values.push(project)}`);
    if (afterId !== undefined) conditions.push(`id < $${values.push(afterId)}`);
    const page = `select * from contract where ${conditions.join(" and ")} order by id desc limit $2`;
    const { rows } = await this.#pool.query<ContractRow>(
      `${selectContractsFrom(`(${page}) c`)} order by c.id desc`,
      values,
    );
    return rows.map(readContract);
  }

  /**
   * Makes the change and tells the audit log of it, if anything changes. The revision is the latest then; `changed`: whether this
   * call made it. Null: there is no such contract.
   */
  update(
    organizationId: string,
    name: string,
    change: ContractChange,
    actor: string,
  ): Promise<{ revision: number; changed: boolean } | null> {
    return this.#prisma.$transaction(async (tx) => {
      const where = { organizationId_name: { organizationId, name } };
      // Locked first, so that each text of those that come at once is compared with the one before it.
      await tx.$queryRaw`select 1 from contract where organization_id = ${organizationId}::uuid and name = ${name} for no key update`;
      const before = await tx.contract.findUnique({ where });
      if (before === null) return null;
      const { description = before.description, text } = change;
      const changed = text !== undefined && (await isOther(tx, before, text));
      const latestRevision = before.latestRevision + (changed ? 1 : 0);
      if (changed) await addRevision(tx, { organizationId, contractId: before.id }, latestRevision, text);
      if (description !== before.description)
        await tx.contract.update({ where, data: { description, updatedAt: new Date() } });
      const entry = contractChangeEntry(before, { ...before, description, latestRevision }, actor);
      if (entry !== undefined) await audited(tx, organizationId, entry);
      return { revision: latestRevision, changed };
    }, transactionLimits);
  }
}

/** The id of the new contract, of which the audit log is told; undefined: the name is taken. */
export async function addContract(
  tx: Prisma.TransactionClient,
  { organizationId, name, project, description, text }: NewContract,
  actor: string,
): Promise<string | undefined> {
  const data = [{ organizationId, id: uuidv7(), name, project, description }];
  const [made] = await tx.contract.createManyAndReturn({ data, skipDuplicates: true });
  if (made === undefined) return undefined;
  await addRevision(tx, { organizationId, contractId: made.id }, 1, text ?? (await emptyContract(tx, name)));
  await audited(tx, organizationId, contractEntry(made, actor));
  return made.id;
}

async function addRevision(
  tx: Prisma.TransactionClient,
  key: { organizationId: string; contractId: string },
  revision: number,
  { text, format }: ContractText,
): Promise<void> {
  await tx.contractRevision.create({ data: { ...key, revision, id: uuidv7(), text: new Uint8Array(text), format } });
}

/** The database makes it, as it does for workflows that name no contract. */
async function emptyContract(tx: Prisma.TransactionClient, name: string): Promise<ContractText> {
  const [row] = await tx.$queryRaw<{ text: Uint8Array }[]>`select empty_contract(${name}) as text`;
  if (row === undefined) throw new Error("empty_contract makes a text for every name");
  return { text: row.text, format: "yaml" };
}

async function isOther(
  tx: Prisma.TransactionClient,
  { organizationId, id, latestRevision }: { organizationId: string; id: string; latestRevision: number },
  { text }: ContractText,
): Promise<boolean> {
  const key = { organizationId, contractId: id, revision: latestRevision };
  const where = { organizationId_contractId_revision: key };
  const present = await tx.contractRevision.findUniqueOrThrow({ where });
  return !Buffer.from(present.text).equals(text);
}
