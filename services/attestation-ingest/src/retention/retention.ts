import { firstIdAt, type Logger } from "@attestry/service-kit";
import type { RetentionRows } from "../db/retention.ts";
import type { BlobPlace } from "../db/unused-blobs.ts";
import { type CollectContext, collectAll } from "../gc/collect.ts";
import type { RunPeer } from "../run-peer.ts";
import { Walk } from "./walk.ts";

/** How long a round stays with each step of one organization; it goes on there in the next round. */
const stepMs = 30_000;
const blobsInAPage = 100;
const firstId = firstIdAt(0);
const greatestId = "ffffffff-ffff-ffff-ffff-ffffffffffff";
const actor = "service attestation-ingest";

export interface RetentionOptions extends CollectContext {
  run: Pick<RunPeer, "managerToken" | "organizationIds" | "retentionPolicy">;
  rows: RetentionRows;
  logger: Logger;
  graceMs: number;
  /** False: nothing is hidden and nothing deleted; what is no longer due is shown again all the same. */
  deletes: boolean;
  /**
   * From the first round on nothing is deleted for so long: after a long stop the grace of everything is over, and
   * whoever started it may want to raise a bound first.
   */
  waitMs: number;
}

/**
 * Deletes attestations that are past their organization's at_most, in two phases: it hides them, and deletes them after
 * a grace if they are still due. What their backends hold goes a day later, by gc, if no other attestation refers to it.
 */
export class Retention {
  readonly #options: RetentionOptions;
  readonly #shown = new Walk<string>();
  readonly #hidden = new Walk<string>();
  readonly #blobs = new Walk<BlobPlace>();
  /** By performance.now(); undefined before workflow-run first said which organizations there are. */
  #deletesFrom: number | undefined;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /**
   * One round over all organizations, each window by the policy that workflow-run says at that moment. What fails in one
   * organization holds up no other. Throws when workflow-run does not say which there are.
   */
  async round(signal: AbortSignal): Promise<void> {
    const { run, telemetry, logger, deletes, waitMs } = this.#options;
    let failed = 0;
    for await (const organizationId of run.organizationIds(signal)) {
      this.#deletesFrom ??= performance.now() + waitMs;
      try {
        if (deletes) await this.#expire(organizationId, signal);
        await this.#keepOrDelete(organizationId, signal);
        if (this.#mayDelete()) await this.#collect(organizationId, limited(signal));
      } catch (err) {
        if (signal.aborted) return;
        telemetry.retentionFailed();
        // One line a round: the database may be away for each of ten thousand.
        if (++failed === 1)
          logger.warn({ err, organizationId }, "the retention of an organization failed; a later round tries again");
      }
      if (signal.aborted) return;
    }
    if (failed > 1)
      logger.warn({ organizations: failed }, "the retention of several organizations failed in this round");
  }

  #mayDelete(): boolean {
    return this.#options.deletes && performance.now() >= (this.#deletesFrom ?? Number.POSITIVE_INFINITY);
  }

  #expire(organizationId: string, signal: AbortSignal): Promise<void> {
    const { run, rows, telemetry } = this.#options;
    return this.#shown.go(organizationId, limited(signal), async (after = firstId) => {
      const policy = await run.retentionPolicy(organizationId, signal);
      if (policy.atMostSeconds === 0) return undefined;
      const { changed, lastId } = await rows.expire(policy, after);
      telemetry.retained("expired", changed);
      return lastId;
    });
  }

  #keepOrDelete(organizationId: string, signal: AbortSignal): Promise<void> {
    const { run, rows, telemetry, graceMs } = this.#options;
    return this.#hidden.go(organizationId, limited(signal), async (after = firstId) => {
      const policy = await run.retentionPolicy(organizationId, signal);
      const { changed, lastId } = await rows.keep(policy, after);
      telemetry.retained("kept", changed);
      if (!this.#mayDelete()) return lastId;
      telemetry.retained("deleted", await rows.delete(policy, graceMs, after, lastId ?? greatestId));
      return lastId;
    });
  }

  #collect(organizationId: string, signal: AbortSignal): Promise<void> {
    const { unusedBlobs, logger } = this.#options;
    return this.#blobs.go(organizationId, signal, async (after) => {
      const places = await unusedBlobs.listRetired(organizationId, after, blobsInAPage);
      const all = await collectAll(this.#options, places, actor, signal);
      const errors = all.flatMap(({ collected }) => (collected.outcome === "failed" ? [collected.error] : []));
      if (errors.length > 0)
        logger.warn(
          { organizationId, blobs: errors.length, error: errors[0] },
          "blobs of deleted attestations could not be deleted; a later round tries again",
        );
      return signal.aborted || places.length === blobsInAPage ? (all.at(-1)?.place ?? after) : undefined;
    });
  }
}

function limited(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(stepMs)]);
}
