import { CancelTrigger, RunState } from "@attestry/api/run";
import type { Context } from "../context.ts";
import { addNote, CommandError, leaveOutHint, reasonOf } from "../errors.ts";
import { printable } from "../output/printable.ts";
import { bounded } from "./bounded.ts";
import type { SourceRun } from "./chainloop-database.ts";
import type { ContractRevisions } from "./contract-revisions.ts";
import { isOfOne, isTrustRefusal } from "./faults.ts";

const longestReason = 1_024;
const longestUrl = 2_048;
/** A run that ended without its attestation is followed by another one. */
const mostAttempts = 100;

const endedReasons = new Set(["RUN_EXPIRED", "RUN_CANCELLED", "RUN_FAILED"]);

/** A run of Attestry that waits for its attestation; or, without an id, one that has it. */
export interface TargetRun {
  id: string | undefined;
  attempt: number;
  /** Whether it is of the revision of its contract that the run of chainloop used; else of the latest of when it was made. */
  hasRevision: boolean;
}

/** Makes runs of Attestry of chainloop's, once each, however often it is asked to. */
export class ImportTarget {
  readonly #context: Context;
  readonly #revisions: ContractRevisions;

  constructor(context: Context, revisions: ContractRevisions) {
    this.#context = context;
    this.#revisions = revisions;
  }

  /** The run for a run of chainloop: a new one, or the one that an earlier import made. Throws what RunService.Create throws. */
  async create(run: SourceRun, from = 1): Promise<TargetRun> {
    const contractRevision = this.#revisions.usedBy(run);
    for (let attempt = from; attempt <= mostAttempts; attempt++) {
      const request = {
        ...{ project: run.project, workflow: run.workflow, contractRevision },
        idempotencyKey: `chainloop:${run.id}${attempt === 1 ? "" : `:${attempt}`}`,
        jobUrl: isLine(run.jobUrl, longestUrl) ? run.jobUrl : "",
        runner: isLine(run.runner, 64) ? run.runner : "",
        ...(run.version && isLine(run.version, 128) && { projectVersion: versionOf(run.version, run.isLatestVersion) }),
      };
      const answer = await this.#context.caller.repeatable((call) =>
        this.#context.services.runs.create(request, bounded(call)),
      );
      const { id = "", state, attestationDigest } = answer.run ?? {};
      // An import of an older build that was interrupted may have made it.
      const hasRevision = contractRevision > 0 && answer.run?.contractRevision === contractRevision;
      if (state === RunState.INITIALIZED) return { id, attempt, hasRevision };
      if (state !== RunState.SUCCESS) continue;
      if (attestationDigest === run.digest) return { id: undefined, attempt, hasRevision };
      const message = `run ${id} was made for it, and has the attestation ${attestationDigest}`;
      throw new CommandError("SOURCE_CORRUPT", message);
    }
    throw new CommandError("SOURCE_CORRUPT", `it was refused ${mostAttempts} times before`);
  }

  /** Stores the very bytes. A run that was made for a bundle that is refused for good is ended. Throws what Store throws. */
  async store(run: SourceRun, target: TargetRun, bundle: Uint8Array): Promise<void> {
    for (let { id: runId, attempt } = target; runId !== undefined; ) {
      const request = { runId, bundle };
      try {
        await this.#context.caller.repeatable((call) =>
          this.#context.services.attestations.store(request, bounded(call)),
        );
        return;
      } catch (error) {
        if (!endedReasons.has(reasonOf(error) ?? "")) throw await this.#refused(runId, error);
      }
      // It had been left by an import that was interrupted, and ended meanwhile.
      ({ id: runId, attempt } = await this.create(run, attempt + 1));
    }
  }

  async #refused(runId: string, error: unknown): Promise<unknown> {
    if (!isOfOne(error)) return error;
    const why = `import: ${reasonOf(error)}: ${(error as Error).message}`;
    const request = { runId, trigger: CancelTrigger.FAILURE, reason: printable(why).slice(0, longestReason) };
    // If it cannot be ended, it expires.
    await this.#context.services.runs.cancel(request, { timeoutMs: 5_000 }).catch(() => undefined);
    if (!isTrustRefusal(error)) return error;
    leaveOutHint(error);
    addNote(
      error,
      "certificates of the past are not valid now: import before `attestry org update --verification trusted`, or go back to signature until it is done",
    );
    return error;
  }
}

// The latest one becomes so when it is made; a released one cannot be made so again.
function versionOf(version: string, isLatest: boolean | null) {
  return { version, ...(isLatest === false && { markLatest: false }) };
}

function isLine(text: string, length: number): boolean {
  return text.length <= length && /^[^\p{C}\p{Zl}\p{Zp}]*$/u.test(text);
}
