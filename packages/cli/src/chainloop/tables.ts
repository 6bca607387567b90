import { CommandError } from "../errors.ts";

/** What chainloop's database has, which differs from version to version. */
export class Tables {
  readonly #columns: ReadonlySet<string>;

  /** @param columns `table.column`, of all that the user may read */
  constructor(columns: Iterable<string>) {
    this.#columns = new Set(columns);
    const projects = this.has("workflows.project_id") ? ["projects.id", "projects.name"] : ["workflows.project"];
    for (const column of [...needed, ...projects]) {
      if (this.has(column)) continue;
      throw new CommandError(
        "SOURCE_INVALID",
        `expected chainloop's database, got one without ${column}, or in which this user may not read it`,
      );
    }
  }

  has(column: string): boolean {
    return this.#columns.has(column);
  }

  /** The columns of a table, as an expression of its alias, or null where this version has none. */
  orNull(alias: string, column: string, type: string): string {
    return this.has(column) ? `${alias}.${column.slice(column.indexOf(".") + 1)}` : `null::${type}`;
  }

  /** Where the bytes of bundles are: `bundles` until early 2025, then `attestations`; undefined: only in a bucket. */
  get bundles(): "attestations" | "bundles" | undefined {
    return (["attestations", "bundles"] as const).find(
      (table) => this.has(`${table}.bundle`) && this.has(`${table}.workflowrun_id`),
    );
  }
}

const needed = [
  "organizations.id",
  "organizations.name",
  "workflows.id",
  "workflows.name",
  "workflows.organization_id",
  "workflow_runs.id",
  "workflow_runs.created_at",
  "workflow_runs.workflow_id",
  "workflow_runs.attestation_digest",
] as const;
