import { DomainError } from "@attestry/service-kit";
import { organizationNotFound } from "../organizations/organization.ts";
import type { NewRun, Run } from "./run.ts";

export interface StartStore {
  /** Null: lost a race, or the idempotency key was used before. */
  create(run: NewRun): Promise<Run | null>;
  findByKey(organizationId: string, idempotencyKey: string): Promise<Run | null>;
  hasOrganization(organizationId: string): Promise<boolean>;
}

/** Races end after one more try each; a limit keeps a fault from becoming a loop. */
const attempts = 5;

/**
 * Starts a run, or returns the one that an earlier call with this idempotency key started.
 * Throws IDEMPOTENCY_KEY_REUSED if that one is of another workflow, ORGANIZATION_NOT_FOUND.
 */
export async function startRun(store: StartStore, wanted: NewRun): Promise<{ run: Run; started: boolean }> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const started = await store.create(wanted);
    if (started !== null) return { run: started, started: true };
    if (wanted.idempotencyKey === null) continue;
    const earlier = await store.findByKey(wanted.organizationId, wanted.idempotencyKey);
    if (earlier === null) continue;
    checkSameWorkflow(earlier, wanted);
    return { run: earlier, started: false };
  }
  if (!(await store.hasOrganization(wanted.organizationId))) throw organizationNotFound(wanted.organizationId);
  throw new DomainError("DATABASE_UNAVAILABLE", `lost ${attempts} races for the workflow or its backend; try again`, {
    retryAfterMs: 1_000,
  });
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
