import { uuidv7 } from "@attestry/service-kit";
import type pg from "pg";
import { type ContractText, contractNotFound, contractOfOtherProject } from "../contracts/contract.ts";
import type { NewWorkflow, Workflow } from "../workflows/workflow.ts";
import type { Prisma, PrismaClient } from "./client/client.ts";
import { addContract } from "./contract-store.ts";
import { type Database, transactionLimits } from "./database.ts";
import { type RunRow, readRun } from "./run-rows.ts";
import { readWorkflow, selectLastRuns, selectWorkflowsFrom, type WorkflowRow } from "./workflow-rows.ts";

export interface WorkflowFilter {
  organizationId: string;
  /** Undefined: any. */
  project: string | undefined;
  /** Undefined: any. */
  ids: string[] | undefined;
}

/** Workflows, in the database. */
export class WorkflowStore {
  readonly #prisma: PrismaClient;
  readonly #pool: pg.Pool;

  constructor({ prisma, pool }: Pick<Database, "prisma" | "pool">) {
    this.#prisma = prisma;
    this.#pool = pool;
  }

  /**
   * The unique constraint decides between callers that come at once: one of them creates it, with its contract.
   * Throws CONTRACT_NOT_FOUND if one is to be created with a contract that it may not have.
   */
  async findOrCreate(
    wanted: NewWorkflow,
    actor: () => Promise<string>,
  ): Promise<{ workflow: Workflow; created: boolean }> {
    const { organizationId, project, name } = wanted;
    const existing = await this.find(organizationId, project, name);
    if (existing !== null) return { workflow: existing, created: false };
    const created = await this.#create(wanted, await actor());
    const workflow = await this.find(organizationId, project, name);
    if (workflow === null) throw new Error(`the workflow ${project}/${name} is gone: workflows are never deleted`);
    return { workflow, created };
  }

  async find(organizationId: string, project: string, name: string): Promise<Workflow | null> {
    const source = "(select * from workflow where organization_id = $1 and project = $2 and name = $3) w";
    const { rows } = await this.#pool.query<WorkflowRow>({
      name: "workflow-by-name",
      text: selectWorkflowsFrom(source),
      values: [organizationId, project, name],
    });
    const [workflow] = await this.#withLastRuns(organizationId, rows);
    return workflow ?? null;
  }

  /** Newest first, with ids below `afterId`. */
  async list(
    { organizationId, project, ids }: WorkflowFilter,
    afterId: string | undefined,
    limit: number,
  ): Promise<Workflow[]> {
    const values: unknown[] = [organizationId, limit];
    const conditions = ["organization_id = $1"];
    if (project !== undefined) conditions.push(`project = $${values.push(project)}`);
    if (ids !== undefined) conditions.push(`id = any($${values.push(ids)}::uuid[])`);
    if (afterId !== undefined) conditions.push(`id < $${values.push(afterId)}`);
    const page = `select * from workflow where ${conditions.join(" and ")} order by id desc limit $2`;
    const { rows } = await this.#pool.query<WorkflowRow>(
      `${selectWorkflowsFrom(`(${page}) w`)} order by w.id desc`,
      values,
    );
    return this.#withLastRuns(organizationId, rows);
  }

  async #withLastRuns(organizationId: string, workflows: WorkflowRow[]): Promise<Workflow[]> {
    if (workflows.length === 0) return [];
    const { rows } = await this.#pool.query<RunRow>({
      name: "workflows-last-runs",
      text: selectLastRuns,
      values: [organizationId, workflows.map(({ id }) => id)],
    });
    const runs = new Map(rows.map((row) => [row.workflow_id, readRun(row)]));
    return workflows.map((row) => readWorkflow(row, runs.get(row.id)));
  }

  /** Whether this call did it. If not, its contract is not made either. */
  async #create(wanted: NewWorkflow, actor: string): Promise<boolean> {
    const { organizationId, project, name, description, team } = wanted;
    try {
      await this.#prisma.$transaction(async (tx) => {
        const contractId = await contractFor(tx, wanted, actor);
        const made = await tx.$executeRaw`
          insert into workflow (organization_id, id, project, name, description, team, contract_id)
          values (${organizationId}::uuid, ${uuidv7()}::uuid, ${project}, ${name}, ${description}, ${team}, ${contractId}::uuid)
          on conflict (organization_id, project, name) do nothing`;
        if (made === 0) throw new LostRace();
      }, transactionLimits);
      return true;
    } catch (error) {
      if (error instanceof LostRace) return false;
      throw error;
    }
  }
}

/** Rolls the transaction back. */
class LostRace extends Error {}

/** The id of the contract that the workflow names, made if it brings the text of one; null: the database gives it one of its own. */
async function contractFor(tx: Prisma.TransactionClient, wanted: NewWorkflow, actor: string): Promise<string | null> {
  const { organizationId, project, contract: name, contractText: text } = wanted;
  if (name === "") return text === null ? null : contractOfItsOwn(tx, wanted, text);
  const find = () => tx.contract.findUnique({ where: { organizationId_name: { organizationId, name } } });
  let found = await find();
  if (found === null && text !== null) {
    const made = await addContract(tx, { organizationId, name, project, description: "", text }, actor);
    if (made !== undefined) return made;
    found = await find();
  }
  if (found === null) throw contractNotFound(name);
  if (found.project !== "" && found.project !== project) throw contractOfOtherProject(found, project);
  return found.id;
}

async function contractOfItsOwn(
  tx: Prisma.TransactionClient,
  { organizationId, project, name }: NewWorkflow,
  { text, format }: ContractText,
): Promise<string> {
  const bytes = Buffer.from(text);
  const [row] = await tx.$queryRaw<{ id: string }[]>`
    select workflow_contract(${organizationId}::uuid, ${project}, ${name}, ${bytes}::bytea, ${format}::contract_format) as id`;
  if (row === undefined) throw new Error("workflow_contract finds or makes one");
  return row.id;
}
