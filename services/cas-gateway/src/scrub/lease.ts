import type { Backend } from "../backends/backend.ts";
import { readOwner, readState, type ScrubState, writeState } from "./state.ts";

export interface LeaseOptions {
  backend: Backend;
  backendId: string;
  /** This process; a UUID. */
  owner: string;
  /** How long another one waits for this one, in milliseconds. */
  leaseMs: number;
}

/** Another process is at the backend. */
export class LeaseLostError extends Error {
  readonly until: Date;

  constructor(until: Date) {
    super(`another scrubber is at the backend until ${until.toISOString()}`);
    this.until = until;
  }
}

/**
 * The right to work on one backend, kept in its state. It saves work and no more: two that believe they have it, for their
 * clocks or because they took it at the same moment, do work twice and no harm.
 */
export class Lease {
  readonly #options: LeaseOptions;
  #savedAt = 0;
  current: ScrubState["current"];
  last: ScrubState["last"];

  private constructor(options: LeaseOptions, found: ScrubState | undefined) {
    this.#options = options;
    this.current = found?.current;
    this.last = found?.last;
  }

  /** What is known of a backend; nothing is taken yet. Throws LeaseLostError while another has it. */
  static async open(options: LeaseOptions, signal: AbortSignal): Promise<Lease> {
    const found = await readState(options.backend, options.backendId, signal);
    checkOwner(options, found);
    return new Lease(options, found);
  }

  /** Saves the state, and has the backend for a while more. Throws LeaseLostError if another one took it. */
  async save(signal: AbortSignal): Promise<void> {
    await this.#write(Date.now() + this.#options.leaseMs, signal);
  }

  /** Saves four times in a lease at most: what was done since is done again after a crash. */
  async progress(signal: AbortSignal): Promise<void> {
    if (Date.now() - this.#savedAt >= this.#options.leaseMs / 4) await this.save(signal);
  }

  /** Saves the state, and leaves the backend to whoever comes next. */
  async release(signal: AbortSignal): Promise<void> {
    await this.#write(0, signal);
  }

  async #write(until: number, signal: AbortSignal): Promise<void> {
    const { backend, backendId, owner } = this.#options;
    checkOwner(this.#options, await readOwner(backend, backendId, signal));
    const state = { owner, leaseUntil: new Date(until), current: this.current, last: this.last };
    await writeState(backend, backendId, state, signal);
    this.#savedAt = Date.now();
  }
}

/** Throws LeaseLostError if another one has it. */
function checkOwner({ owner }: LeaseOptions, found: Pick<ScrubState, "owner" | "leaseUntil"> | undefined): void {
  if (found !== undefined && found.owner !== owner && found.leaseUntil.getTime() > Date.now())
    throw new LeaseLostError(found.leaseUntil);
}
