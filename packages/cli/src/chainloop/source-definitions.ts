import { exactTime, type Position, type SourceDatabase } from "./database.ts";
import type { Tables } from "./tables.ts";

export interface SourceContract extends Position {
  name: string;
  /** Null: of any project. */
  project: string | null;
  description: string;
}

export interface SourceText {
  revision: number;
  text: Buffer;
}

export interface SourceWorkflow extends Position {
  project: string;
  name: string;
  description: string;
  team: string;
  /** Null: one that was deleted. */
  contract: string | null;
}

export interface SourceVersion extends Position {
  project: string;
  version: string;
}

/** What an organization of chainloop has defined: contracts, workflows, versions of projects. Deleted ones are left out. */
export class SourceDefinitions {
  readonly #database: SourceDatabase;
  readonly #tables: Tables;

  constructor(database: SourceDatabase, tables: Tables) {
    this.#database = database;
    this.#tables = tables;
  }

  async *contracts(organizationId: string): AsyncGenerator<SourceContract[], void, void> {
    const tables = this.#tables;
    const owner = "workflow_contracts.organization_workflow_contracts";
    if (!tables.has(owner) || !tables.has("workflow_contract_versions.raw_body")) return;
    const isScoped = tables.has("workflow_contracts.scoped_resource_id") && tables.has("projects.name");
    yield* this.#pages<SourceContract>(
      `select c.id, ${exactTime("c.created_at")} as "createdAt", c.name,
         coalesce(${tables.orNull("c", "workflow_contracts.description", "text")}, '') as description,
         ${isScoped ? "p.name" : "null::text"} as project
       from workflow_contracts c
         ${isScoped ? "left join projects p on c.scoped_resource_type = 'project' and p.id = c.scoped_resource_id" : ""}
       where c.organization_workflow_contracts = $1 and ${this.#isThere("c", "workflow_contracts")}`,
      { organizationId, columns: "c.created_at, c.id" },
    );
  }

  /** The texts of a contract, the first revision first. */
  texts(contractId: string): Promise<SourceText[]> {
    return this.#database.rows(
      `select revision::int as revision, raw_body as text from workflow_contract_versions
       where workflow_contract_versions = $1 order by revision`,
      [contractId],
    );
  }

  async *workflows(organizationId: string): AsyncGenerator<SourceWorkflow[], void, void> {
    const tables = this.#tables;
    if (!tables.has("workflows.project_id") || !tables.has("workflows.workflow_contract")) return;
    yield* this.#pages<SourceWorkflow>(
      `select w.id, ${exactTime("w.created_at")} as "createdAt", p.name as project, w.name,
         coalesce(${tables.orNull("w", "workflows.description", "text")}, '') as description,
         coalesce(${tables.orNull("w", "workflows.team", "text")}, '') as team, c.name as contract
       from workflows w join projects p on p.id = w.project_id
         left join workflow_contracts c on c.id = w.workflow_contract and ${this.#isThere("c", "workflow_contracts")}
       where w.organization_id = $1 and ${this.#isThere("w", "workflows")}`,
      { organizationId, columns: "w.created_at, w.id" },
    );
  }

  async *releasedVersions(organizationId: string): AsyncGenerator<SourceVersion[], void, void> {
    if (!this.#tables.has("project_versions.prerelease")) return;
    yield* this.#pages<SourceVersion>(
      `select v.id, ${exactTime("v.created_at")} as "createdAt", v.version, p.name as project
       from project_versions v join projects p on p.id = v.project_id
       where p.organization_id = $1 and not v.prerelease and ${this.#isThere("v", "project_versions")}`,
      { organizationId, columns: "v.created_at, v.id" },
    );
  }

  #pages<T extends Position>(
    statement: string,
    { organizationId, columns }: { organizationId: string; columns: string },
  ) {
    return this.#database.pages<T>((begin) => `${statement} and ${begin}`, { values: [organizationId], columns });
  }

  #isThere(alias: string, table: string): string {
    return this.#tables.has(`${table}.deleted_at`) ? `${alias}.deleted_at is null` : "true";
  }
}
