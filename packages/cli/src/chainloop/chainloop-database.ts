import { exactTime, type Position, SourceDatabase } from "./database.ts";
import { SourceDefinitions } from "./source-definitions.ts";
import { Tables } from "./tables.ts";

const askedAtOnce = 500;
/** By which a run names the text that it used. Its own `contract_revision_used` counts in a contract that it does not name. */
const contractColumns = [
  "workflow_runs.workflow_run_contract_version",
  "workflow_contract_versions.id",
  "workflow_contract_versions.revision",
  "workflow_contract_versions.workflow_contract_versions",
];

export interface SourceOrganization {
  id: string;
  name: string;
}

/** A run that has an attestation. */
export interface SourceRun extends Position {
  project: string;
  workflow: string;
  /** `sha256:<hex>`; null: only of a run from before there were bundles. */
  digest: string | null;
  /** Of its bundle, in bytes; null: the database does not have it. */
  sizeBytes: number | null;
  jobUrl: string;
  runner: string;
  /** Null: of none, or from before there were versions. */
  version: string | null;
  isLatestVersion: boolean | null;
  /** The contract whose revision it used, which its workflow need not have any more; null: not known. */
  contractId: string | null;
  contractRevision: number | null;
  /** Whether the database has the envelope, which is no bundle and not as it was signed and sent. */
  hasLegacyEnvelope: boolean;
}

/** What chainloop keeps in its PostgreSQL, of any version since 2024. Only reads. */
export class ChainloopDatabase {
  readonly definitions: SourceDefinitions;
  readonly #database: SourceDatabase;
  readonly #tables: Tables;

  private constructor(database: SourceDatabase, tables: Tables) {
    this.#database = database;
    this.#tables = tables;
    this.definitions = new SourceDefinitions(database, tables);
  }

  /** Throws what SourceDatabase.open throws, and SOURCE_INVALID for a database that is not chainloop's. */
  static async open(address: string, signal: AbortSignal): Promise<ChainloopDatabase> {
    const database = await SourceDatabase.open(address, signal);
    try {
      const columns = await database.rows<{ column: string }>(
        `select table_name || '.' || column_name as "column" from information_schema.columns
         where table_schema = any (current_schemas(false))`,
      );
      return new ChainloopDatabase(database, new Tables(columns.map(({ column }) => column)));
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  /** Whether bundles are in the database at all, or the user may not read them. */
  get hasBundles(): boolean {
    return this.#tables.bundles !== undefined;
  }

  organizations(): Promise<SourceOrganization[]> {
    const there = this.#tables.has("organizations.deleted_at") ? "where deleted_at is null" : "";
    return this.#database.rows(`select id, name from organizations ${there} order by name`);
  }

  /** Where chainloop kept the organization's materials, in words. */
  async externalBackends(organizationId: string): Promise<string[]> {
    const [organization, inline] = ["cas_backends.organization_cas_backends", "cas_backends.provider"];
    if (!this.#tables.has(organization) || !this.#tables.has(inline)) return [];
    const rows = await this.#database.rows<{ place: string }>(
      `select provider || ' ' || location as place from cas_backends
       where organization_cas_backends = $1 and provider <> 'INLINE' order by created_at`,
      [organizationId],
    );
    return rows.map(({ place }) => place);
  }

  async countRuns(organizationId: string, after: Position | undefined): Promise<number> {
    const begin = after === undefined ? "true" : "(r.created_at, r.id) > ($2::timestamptz, $3::uuid)";
    const rows = await this.#database.rows<{ count: number }>(
      `select count(*)::int as count from workflow_runs r join workflows w on w.id = r.workflow_id
       where ${this.#attested()} and ${begin}`,
      [organizationId, ...(after === undefined ? [] : [after.createdAt, after.id])],
    );
    return rows[0]?.count ?? 0;
  }

  /** The organization's runs that have an attestation, oldest first, a page at a time. */
  runs(organizationId: string, after: Position | undefined): AsyncGenerator<SourceRun[], void, void> {
    return this.#database.pages<SourceRun>((begin) => `${this.#select()} where ${this.#attested()} and ${begin}`, {
      ...{ values: [organizationId], columns: "r.created_at, r.id", after },
    });
  }

  /** Those of the runs that are there, oldest first, a page at a time. */
  async *runsOf(organizationId: string, ids: readonly string[]): AsyncGenerator<SourceRun[], void, void> {
    const statement = `${this.#select()} where ${this.#attested()} and r.id = any ($2::uuid[]) order by r.created_at, r.id`;
    for (let start = 0; start < ids.length; start += askedAtOnce) {
      yield await this.#database.rows<SourceRun>(statement, [organizationId, ids.slice(start, start + askedAtOnce)]);
    }
  }

  /** The bundles of runs, by the runs' ids, as far as the database has them. */
  async bundles(runIds: readonly string[]): Promise<Map<string, Buffer>> {
    const table = this.#tables.bundles;
    if (table === undefined || runIds.length === 0) return new Map();
    const rows = await this.#database.rows<{ id: string; bundle: Buffer }>(
      `select workflowrun_id as id, bundle from ${table} where workflowrun_id = any ($1::uuid[])`,
      [runIds],
    );
    return new Map(rows.map(({ id, bundle }) => [id, bundle]));
  }

  /** The condition of the runs of the organization $1 that have an attestation. */
  #attested(): string {
    const legacy = this.#tables.has("workflow_runs.attestation") ? " or r.attestation is not null" : "";
    return `w.organization_id = $1 and (r.attestation_digest is not null${legacy})`;
  }

  #select(): string {
    const tables = this.#tables;
    const hasProjects = tables.has("workflows.project_id") && tables.has("projects.name");
    // Before there were projects, workflows named theirs.
    const older = tables.orNull(
      "w",
      tables.has("workflows.project_old") ? "workflows.project_old" : "workflows.project",
      "text",
    );
    const hasVersions = tables.has("workflow_runs.version_id") && tables.has("project_versions.version");
    const hasContracts = contractColumns.every((column) => tables.has(column));
    const legacy = tables.has("workflow_runs.attestation") ? "r.attestation is not null" : "false";
    return `select r.id, ${exactTime("r.created_at")} as "createdAt", w.name as workflow,
        coalesce(${hasProjects ? "p.name" : "null"}, ${older}, '') as project,
        r.attestation_digest as digest,
        ${tables.bundles === undefined ? "null::int" : "octet_length(b.bundle)"} as "sizeBytes",
        coalesce(${tables.orNull("r", "workflow_runs.run_url", "text")}, '') as "jobUrl",
        coalesce(${tables.orNull("r", "workflow_runs.runner_type", "text")}, '') as runner,
        ${hasVersions ? "v.version" : "null::text"} as version,
        ${hasVersions ? tables.orNull("v", "project_versions.latest", "bool") : "null::bool"} as "isLatestVersion",
        ${hasContracts ? "c.workflow_contract_versions" : "null::uuid"} as "contractId",
        ${hasContracts ? "c.revision::int" : "null::int"} as "contractRevision",
        ${legacy} as "hasLegacyEnvelope"
      from workflow_runs r join workflows w on w.id = r.workflow_id
        ${hasProjects ? "left join projects p on p.id = w.project_id" : ""}
        ${hasVersions ? "left join project_versions v on v.id = r.version_id" : ""}
        ${hasContracts ? "left join workflow_contract_versions c on c.id = r.workflow_run_contract_version" : ""}
        ${tables.bundles === undefined ? "" : `left join ${tables.bundles} b on b.workflowrun_id = r.id`}`;
  }
}
