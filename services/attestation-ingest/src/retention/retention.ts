import { firstIdAt, type Logger } from "@attestry/service-kit";
import type { RetentionRows } from "../db/retention.ts";
import type { BlobPlace } from "../db/unused-blobs.ts";
import { type CollectContext, collect } from "../gc/collect.ts";
import type { RunPeer } from "../run-peer.ts";
import type { RetentionPolicy } from "./policy.ts";
import { Walk } from "./walk.ts";

/** How long a round stays with each step of one organization; it goes on there in the next round. */
const stepMs = 30_000;
const blobsAtATime = 10;
const blobsInAPage = 100;
const firstId = firstIdAt(0);
const greatestId = "ffffffff-ffff-ffff-ffff-ffffffffffff";
const actor = "service attestation-ingest";

export interface RetentionOptions extends CollectContext {
  run: Pick<RunPeer, "managerToken" | "retentionPolicies">;
  rows: RetentionRows;
  logger: Logger;
  graceMs: number;
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

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /**
   * One round over all organizations, each by the policy that workflow-run says at that moment. Throws when workflow-run
   * or the database is away: then nothing more is hidden or deleted until the next round.
   */
  async round(signal: AbortSignal): Promise<void> {
    for await (const policy of this.#options.run.retentionPolicies(signal)) {
      if (policy.atMostSeconds > 0) await this.#expire(policy, limited(signal));
      await this.#keepOrDelete(policy, limited(signal));
      await this.#collect(policy.organizationId, limited(signal));
      if (signal.aborted) return;
    }
  }

  #expire(policy: RetentionPolicy, signal: AbortSignal): Promise<void> {
    const { rows, telemetry } = this.#options;
    return this.#shown.go(policy.organizationId, signal, async (after = firstId) => {
      const { changed, lastId } = await rows.expire(policy, after);
      telemetry.retained("expired", changed);
      return lastId;
    });
  }

  #keepOrDelete(policy: RetentionPolicy, signal: AbortSignal): Promise<void> {
    const { rows, telemetry, graceMs } = this.#options;
    return this.#hidden.go(policy.organizationId, signal, async (after = firstId) => {
      const { changed, lastId } = await rows.keep(policy, after);
      telemetry.retained("kept", changed);
      telemetry.retained("deleted", await rows.delete(policy, graceMs, after, lastId ?? greatestId));
      return lastId;
    });
  }

  #collect(organizationId: string, signal: AbortSignal): Promise<void> {
    const { unusedBlobs, logger } = this.#options;
    return this.#blobs.go(organizationId, signal, async (after) => {
      const places = await unusedBlobs.listRetired(organizationId, after, blobsInAPage);
      let last = after;
      const errors: string[] = [];
      for (let start = 0; start < places.length && !signal.aborted; start += blobsAtATime) {
        const some = places.slice(start, start + blobsAtATime);
        for (const collected of await Promise.all(some.map((place) => collect(this.#options, place, actor)))) {
          if (collected.outcome === "failed") errors.push(collected.error);
        }
        last = some.at(-1);
      }
      if (errors.length > 0)
        logger.warn(
          { organizationId, blobs: errors.length, error: errors[0] },
          "blobs of deleted attestations could not be deleted; a later round tries again",
        );
      return signal.aborted || places.length === blobsInAPage ? last : undefined;
    });
  }
}

function limited(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(stepMs)]);
}
