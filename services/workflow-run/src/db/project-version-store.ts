import type pg from "pg";
import type { ProjectVersion } from "../projects/project-version.ts";
import { readProjectVersion, type VersionRow, versionColumns } from "./version-rows.ts";

const latestText = `select ${versionColumns("v")} from project_version v
where v.organization_id = $1 and v.project = $2 and v.latest`;

const namedText = `select ${versionColumns("v")} from project_version v
where v.organization_id = $1 and v.project = $2 and v.version = $3`;

const byIdText = `select v.project, ${versionColumns("v")} from project_version v
where v.organization_id = $1 and v.id = $2`;

// The second of two that come at once waits for the first, and finds nothing left to change.
const releaseText = `
with released as (
  update project_version set prerelease = false, released_at = now()
  where organization_id = $1 and project = $2 and version = $3 and prerelease
  returning organization_id, id)
insert into audit_event (organization_id, actor, action, resource, detail)
select organization_id, $4, 'project.release', 'project version ' || id,
  jsonb_build_object('project', $2::text, 'version', $3::text) from released`;

/** Versions of projects, in the database. Runs make them (run-create.ts). */
export class ProjectVersionStore {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /** `version`: empty for the latest. */
  async find(organizationId: string, project: string, version: string): Promise<ProjectVersion | null> {
    const { rows } = await (version === ""
      ? this.#pool.query<VersionRow>(latestText, [organizationId, project])
      : this.#pool.query<VersionRow>(namedText, [organizationId, project, version]));
    return rows[0] === undefined ? null : readProjectVersion(rows[0]);
  }

  /** With its project. */
  async findById(organizationId: string, id: string): Promise<{ project: string; version: ProjectVersion } | null> {
    const { rows } = await this.#pool.query<VersionRow & { project: string }>(byIdText, [organizationId, id]);
    const [row] = rows;
    const version = row === undefined ? null : readProjectVersion(row);
    return row === undefined || version === null ? null : { project: row.project, version };
  }

  /** Once; tells the audit log with it. */
  async release(organizationId: string, project: string, version: string, actor: string): Promise<void> {
    await this.#pool.query(releaseText, [organizationId, project, version, actor]);
  }
}
