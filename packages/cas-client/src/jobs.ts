/** Work that goes on at the same time, so much at once and no more. The first fault ends all of it. */
export class Jobs {
  readonly #limit: number;
  readonly #running = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #onOuter = () => this.abort(this.#outer?.reason);
  #fault: { error: unknown } | undefined;

  constructor(limit: number, signal: AbortSignal | undefined) {
    this.#limit = limit;
    this.#outer = signal;
    if (signal?.aborted) this.#onOuter();
    signal?.addEventListener("abort", this.#onOuter, { once: true });
  }

  /** Aborts when a job failed or the caller's signal did. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Begins a job; resolves when another one may come. Throws the first fault. */
  async run(job: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.#fault !== undefined) throw this.#fault.error;
    const running = job(this.signal)
      .catch((error: unknown) => this.abort(error))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
    while (this.#running.size >= this.#limit && this.#fault === undefined) await Promise.race(this.#running);
  }

  abort(error: unknown): void {
    this.#fault ??= { error };
    this.#stop.abort(error);
  }

  /** Resolves when no job runs any more. Throws the first fault. */
  async finished(): Promise<void> {
    while (this.#running.size > 0) await Promise.race(this.#running);
    this.#outer?.removeEventListener("abort", this.#onOuter);
    if (this.#fault !== undefined) throw this.#fault.error;
  }
}
