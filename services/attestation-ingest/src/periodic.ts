import { setTimeout as sleep } from "node:timers/promises";

/** Work that is done over and over: at once, then that many milliseconds after it was done. */
export class Periodic {
  readonly #everyMs: number;
  readonly #task: (signal: AbortSignal) => Promise<void>;
  readonly #failed: (error: unknown) => void;
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;

  /** `failed` hears of a round that threw; the next one comes at its time. */
  constructor(everyMs: number, task: (signal: AbortSignal) => Promise<void>, failed: (error: unknown) => void) {
    this.#everyMs = everyMs;
    this.#task = task;
    this.#failed = failed;
  }

  start(): void {
    this.#loop ??= this.#run(this.#stop.signal);
  }

  /** Resolves when the round under way has ended. */
  async destroy(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#task(signal).catch(this.#failed);
      await sleep(this.#everyMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}
