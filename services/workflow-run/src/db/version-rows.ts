import type { ProjectVersion } from "../projects/project-version.ts";

/** What versionColumns selects; null where a row has no version. */
export interface VersionRow {
  version_id: string | null;
  version: string;
  version_prerelease: boolean;
  version_latest: boolean;
  version_created_at: Date;
  version_released_at: Date | null;
}

/** The columns of a project_version that is called `alias`, under names that leave those of others alone. */
export function versionColumns(alias: string): string {
  const columns = ["prerelease", "latest", "created_at", "released_at"];
  const renamed = columns.map((column) => `${alias}.${column} as version_${column}`);
  return [`${alias}.id as version_id`, `${alias}.version`, ...renamed].join(", ");
}

export function readProjectVersion(row: VersionRow): ProjectVersion | null {
  if (row.version_id === null) return null;
  return {
    id: row.version_id,
    version: row.version,
    prerelease: row.version_prerelease,
    latest: row.version_latest,
    createdAt: row.version_created_at,
    releasedAt: row.version_released_at,
  };
}
