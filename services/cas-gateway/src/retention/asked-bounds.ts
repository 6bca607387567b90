import type { RetentionBounds } from "@attestry/service-kit";
import { elapsed } from "../elapsed.ts";
import type { Expiry } from "./expiry.ts";
import { lifeOf } from "./keeping.ts";

export interface BoundsSource {
  expiry: Pick<Expiry, "now">;
  /** What the organization asks for now; throws if that is not known. */
  bounds: (signal: AbortSignal) => Promise<RetentionBounds | undefined>;
}

/** What is over, and what it is measured by. */
export interface Limits {
  now: Date;
  /** What was stored before then is past its time; nothing is where there is no bound. */
  oldest: Date;
}

const trustedMs = 30_000;

/** What an organization asks for, asked anew when the answer is old: what is removed does not come back. */
export class AskedBounds {
  readonly #source: BoundsSource;
  #asked: { bounds: RetentionBounds | undefined; ageMs: () => number } | undefined;

  constructor(source: BoundsSource) {
    this.#source = source;
  }

  async limits(signal: AbortSignal): Promise<Limits> {
    const { expiry } = this.#source;
    const bounds = await this.#current(signal);
    const now = expiry.now();
    const lifeMs = bounds && lifeOf(bounds);
    const isOver = bounds !== undefined && !isPromised(bounds, now);
    return { now, oldest: isOver && lifeMs !== undefined ? new Date(now.getTime() - lifeMs) : new Date(0) };
  }

  async #current(signal: AbortSignal): Promise<RetentionBounds | undefined> {
    if (this.#asked === undefined || this.#asked.ageMs() > trustedMs) {
      const ageMs = elapsed();
      this.#asked = { bounds: await this.#source.bounds(signal), ageMs };
      // Only a process that was stopped meanwhile waits so long for an answer.
      if (ageMs() > trustedMs) throw new Error("the answer to what an organization wants kept is too old to go by");
    }
    return this.#asked.bounds;
  }
}

/**
 * Whether a blob of any age may still be owed to somebody who was told that it is there before the bounds were what they
 * are now. Since then none is told so of a blob that would not live for at_least.
 */
function isPromised({ atLeastSeconds, since = 0 }: RetentionBounds, now: Date): boolean {
  return now.getTime() < (since + atLeastSeconds) * 1_000;
}
