import { setTimeout as sleep } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import type { Logger } from "../observe/logger.ts";
import { Periodic } from "../periodic.ts";

const reportEveryMs = 30_000;
const longestEndMs = 2_000;
/** Of two reports; beyond, the tokens that were not used for longest are forgotten. */
const mostTokens = 10_000;
/** In one call. */
const mostInReport = 1_000;

export interface TokenUse {
  tokenId: string;
  /** How long ago the newest use was, in milliseconds: the clocks of two services may differ. */
  agoMs: number;
}

export interface TokenUsesOptions {
  /** Tells workflow-run or its database of at most 1,000 uses. */
  report: (uses: TokenUse[]) => Promise<void>;
  logger: Logger;
  /** Time between two reports, in milliseconds. */
  everyMs?: number;
}

/**
 * When each API token was last used here, in memory, and told every 30 s and at the end: a call waits for nothing, and
 * a crash loses what was used since the last report. What could not be told is told with the next report.
 */
export class TokenUses {
  readonly #newest = new LRUCache<string, number>({ max: mostTokens });
  readonly #options: TokenUsesOptions;
  readonly #periodic: Periodic;
  #destroyed: Promise<void> | undefined;

  constructor(options: TokenUsesOptions) {
    const { logger, everyMs: intervalMs = reportEveryMs } = options;
    this.#options = options;
    const work = () => this.#report();
    this.#periodic = new Periodic({ name: "the report of used tokens", intervalMs, work, longestEndMs, logger });
  }

  record(tokenId: string): void {
    this.#newest.set(tokenId, performance.now());
  }

  start(): void {
    this.#periodic.start();
  }

  /** Tells what is left, for at most 4 s. */
  destroy(): Promise<void> {
    this.#destroyed ??= this.#end();
    return this.#destroyed;
  }

  async #end(): Promise<void> {
    await this.#periodic.destroy();
    const last = this.#report().catch((error: unknown) =>
      this.#options.logger.warn({ err: error }, "what tokens were used at the end is not told"),
    );
    await Promise.race([last, sleep(longestEndMs, undefined, { ref: false })]);
  }

  async #report(): Promise<void> {
    const used = [...this.#newest.entries()];
    for (let from = 0; from < used.length; from += mostInReport) {
      const batch = used.slice(from, from + mostInReport);
      const now = performance.now();
      await this.#options.report(batch.map(([tokenId, at]) => ({ tokenId, agoMs: Math.max(0, now - at) })));
      // One that was used again meanwhile stays for the next report.
      for (const [tokenId, at] of batch) if (this.#newest.peek(tokenId) === at) this.#newest.delete(tokenId);
    }
  }
}
