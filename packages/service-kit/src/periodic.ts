import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "./observe/logger.ts";

export interface PeriodicOptions {
  name: string;
  /** Time between two turns, in milliseconds, give or take a fifth, so that replicas spread. */
  intervalMs: number;
  work: (signal: AbortSignal) => Promise<void>;
  /** How long the end waits for a turn that does not hear the signal, in milliseconds; undefined: until the turn ends. */
  longestEndMs?: number;
  logger: Logger;
}

/** Work that is done again and again. A turn that fails is logged, and the next one tries again. */
export class Periodic {
  readonly #options: PeriodicOptions;
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(options: PeriodicOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Resolves when the turn under way has ended, or has had its time to. */
  async destroy(): Promise<void> {
    this.#stop.abort();
    const { longestEndMs } = this.#options;
    const late = longestEndMs === undefined ? [] : [sleep(longestEndMs, undefined, { ref: false })];
    await Promise.race([this.#loop, ...late]);
  }

  async #run(): Promise<void> {
    const { name, intervalMs, work, logger } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await work(signal).catch((error: unknown) =>
        logger.warn({ err: error }, `${name} failed; it will be tried again`),
      );
      const pause = intervalMs * (0.8 + 0.4 * Math.random());
      await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}
