import { DomainError } from "@attestry/service-kit";
import { organizationNotFound } from "../organizations/organization.ts";
import { type ProjectVersion, projectVersionNotFound, projectVersionReleased } from "../projects/project-version.ts";
import type { NewRun, Run } from "./run.ts";

export interface StartStore {
  /** Null: lost a race, the idempotency key was used before, or what the run asks of contract or version is not so. */
  create(run: NewRun): Promise<Run | null>;
  /** Of the workflow's contract; 0: there is no such workflow. */
  contractRevision(organizationId: string, project: string, workflow: string): Promise<number>;
  /** `version`: empty for the latest. */
  findVersion(organizationId: string, project: string, version: string): Promise<ProjectVersion | null>;
  findByKey(organizationId: string, idempotencyKey: string): Promise<Run | null>;
  hasOrganization(organizationId: string): Promise<boolean>;
}

/** Races end after one more try each; a limit keeps a fault from becoming a loop. */
const attempts = 5;

/**
 * Starts a run, or returns the one that an earlier call with this idempotency key started.
 * Throws IDEMPOTENCY_KEY_REUSED if that one is of another workflow, CONTRACT_REVISION_NOT_FOUND, PROJECT_VERSION_NOT_FOUND,
 * PROJECT_VERSION_RELEASED, ORGANIZATION_NOT_FOUND.
 */
export async function startRun(store: StartStore, wanted: NewRun): Promise<{ run: Run; started: boolean }> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const started = await store.create(wanted);
    if (started !== null) return { run: started, started: true };
    const { organizationId, idempotencyKey } = wanted;
    const earlier = idempotencyKey === null ? null : await store.findByKey(organizationId, idempotencyKey);
    if (earlier !== null) {
      checkSameWorkflow(earlier, wanted);
      return { run: earlier, started: false };
    }
    await checkContract(store, wanted);
    await checkVersion(store, wanted);
  }
  if (!(await store.hasOrganization(wanted.organizationId))) throw organizationNotFound(wanted.organizationId);
  throw new DomainError("DATABASE_UNAVAILABLE", `lost ${attempts} races for the workflow or its backend; try again`, {
    retryAfterMs: 1_000,
  });
}

async function checkContract(store: StartStore, wanted: NewRun): Promise<void> {
  const { organizationId, project, workflow, contractRevision } = wanted;
  if (contractRevision === 0) return;
  const latest = await store.contractRevision(organizationId, project, workflow);
  if (latest >= contractRevision) return;
  const is = latest === 0 ? "there is no such workflow yet" : `it has the revisions 1 to ${latest}`;
  throw new DomainError(
    "CONTRACT_REVISION_NOT_FOUND",
    `the contract of ${project}/${workflow} has no revision ${contractRevision}: ${is}`,
    { metadata: { expected: `1..${latest}`, actual: String(contractRevision) } },
  );
}

async function checkVersion(store: StartStore, { organizationId, project, version }: NewRun): Promise<void> {
  if (version === null) return;
  const found = await store.findVersion(organizationId, project, version.version);
  if (found === null && version.mustExist) throw projectVersionNotFound(project, version.version);
  if (found?.releasedAt && !found.latest && version.markLatest) throw projectVersionReleased(project, found.version);
}

function checkSameWorkflow(earlier: Run, wanted: NewRun): void {
  if (earlier.project === wanted.project && earlier.workflow === wanted.workflow) return;
  const expected = `${earlier.project}/${earlier.workflow}`;
  const actual = `${wanted.project}/${wanted.workflow}`;
  throw new DomainError(
    "IDEMPOTENCY_KEY_REUSED",
    `this idempotency key started run ${earlier.id} of ${expected}; came ${actual}`,
    { metadata: { expected, actual, run: earlier.id } },
  );
}
