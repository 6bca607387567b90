import { type Logger, Periodic } from "@attestry/service-kit";
import type { BackendPool } from "../backends/backend-pool.ts";
import { type SweepContext, sweepBackend } from "./sweep-backend.ts";

export interface UploadSweeperOptions extends SweepContext {
  backends: Pick<BackendPool, "inUse">;
  logger: Logger;
}

const sweepsPerRetention = 24;
const shortestIntervalMs = 60_000;
const longestIntervalMs = 3_600_000;
const longestEndMs = 1_000;

/**
 * Sweeps the backends that this process has used, time after time. Those that nobody has asked this process for since it
 * began are left to the scrubber, which knows all.
 */
export class UploadSweeper {
  readonly #options: UploadSweeperOptions;
  readonly #periodic: Periodic;

  constructor(options: UploadSweeperOptions) {
    this.#options = options;
    const interval = options.uploadRetentionMs / sweepsPerRetention;
    this.#periodic = new Periodic({
      name: "sweeping unfinished uploads",
      intervalMs: Math.min(Math.max(interval, shortestIntervalMs), longestIntervalMs),
      work: (signal) => this.sweepAll(signal),
      longestEndMs,
      logger: options.logger,
    });
  }

  start(): void {
    this.#periodic.start();
  }

  /** Resolves within a second, even if a store hangs in the system and hears no signal. */
  destroy(): Promise<void> {
    return this.#periodic.destroy();
  }

  /** One sweep of each; a backend that fails does not keep the others from theirs. */
  async sweepAll(signal: AbortSignal): Promise<void> {
    for (const { organization, provider, backend } of this.#options.backends.inUse()) {
      if (signal.aborted) return;
      await sweepBackend(this.#options, provider, backend, signal).catch((error: unknown) => {
        if (signal.aborted) return;
        const about = { err: error, organization, provider };
        this.#options.logger.warn(about, "what is left of broken uploads could not be removed; it will be tried again");
      });
    }
  }
}
