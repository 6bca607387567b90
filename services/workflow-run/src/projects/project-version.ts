import { DomainError } from "@attestry/service-kit";

/** A version of a project. */
export interface ProjectVersion {
  id: string;
  version: string;
  /** Not released yet. */
  prerelease: boolean;
  /** The one of runs that name none. */
  latest: boolean;
  createdAt: Date;
  /** Null: not released. */
  releasedAt: Date | null;
}

/** In characters. */
export const longestVersion = 128;

/** `version`: empty for the latest. */
export function projectVersionNotFound(project: string, version: string): DomainError {
  const message =
    version === ""
      ? `the project ${project} has no version in this organization`
      : `the project ${project} has no version ${JSON.stringify(version)} in this organization`;
  return new DomainError("PROJECT_VERSION_NOT_FOUND", message, { metadata: { project, version } });
}

export function projectVersionIdNotFound(id: string): DomainError {
  return new DomainError("PROJECT_VERSION_NOT_FOUND", `there is no project version ${id} in this organization`, {
    metadata: { id },
  });
}

/** A released version cannot become the latest. */
export function projectVersionReleased(project: string, version: string): DomainError {
  return new DomainError(
    "PROJECT_VERSION_RELEASED",
    `the version ${JSON.stringify(version)} of the project ${project} is released, so it cannot become the latest; leave mark_latest out`,
    { metadata: { project, version, expected: "a version that is not released", actual: "released" } },
  );
}
