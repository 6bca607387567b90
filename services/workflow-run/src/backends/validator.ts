import { DomainError, type Logger } from "@attestry/service-kit";
import type { Backend } from "./backend.ts";

export interface ProbeResult {
  valid: boolean;
  /** Why it is not. */
  error: string;
  /** What the store does not know and the gateway does without, as sentences. */
  notes: string[];
}

/** Writes, reads back and deletes a probe in the backend. Rejects if that could not even be tried. */
export type Probe = (backend: Backend, organization: string, signal: AbortSignal) => Promise<ProbeResult>;

/** What a validation leaves in the registry. */
export interface Validation {
  /** Undefined: could not be tried, so the status and its time stay as they were. */
  status: "valid" | "invalid" | undefined;
  error: string;
  /** Undefined: stay as they were. */
  notes: string[] | undefined;
  /** When it is to be validated next, in milliseconds from now. */
  nextInMs: number;
}

export interface ValidationStore {
  /** Returns the backend as it is then. Leaves it alone if it was changed since the probe began. Null: it is gone. */
  recordValidation(backend: Backend, validation: Validation): Promise<Backend | null>;
  /** Takes up to `limit` backends that are due, and puts them off by `leaseMs`, so that no other replica takes them. */
  claimDue(limit: number, leaseMs: number): Promise<{ backend: Backend; organization: string }[]>;
}

export interface ValidatorOptions {
  store: ValidationStore;
  probe: Probe;
  /** Time after which a backend is validated again, in milliseconds. */
  intervalMs: number;
  /** Longest that one probe takes, in milliseconds. */
  timeoutMs: number;
  logger: Logger;
  onResult: (result: "valid" | "invalid" | "unreachable") => void;
}

/** A backend that did not work is looked at again sooner. */
const shortIntervalMs = 60_000;
/** A bad result younger than this is believed without another probe. */
const freshMs = 1_000;
const batch = 10;

/** Keeps the status of backends true. One probe at a time for each backend, whoever asks for it. */
export class BackendValidator {
  readonly #options: ValidatorOptions;
  readonly #underWay = new Map<string, Promise<Backend | null>>();
  readonly #stop = new AbortController();

  constructor(options: ValidatorOptions) {
    this.#options = options;
  }

  /** Validates now. Null: the backend is gone. */
  validate(backend: Backend, organization: string): Promise<Backend | null> {
    // A changed secret is another thing to validate.
    const key = `${backend.id} ${backend.secretRef}`;
    const found = this.#underWay.get(key);
    if (found !== undefined) return found;
    const validation = this.#validate(backend, organization).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, validation);
    return validation;
  }

  /** Passes if the backend can be used, validating it anew if the last result was bad. Throws BACKEND_INVALID. */
  async checkUsable(backend: Backend, organization: string): Promise<void> {
    if (backend.status !== "invalid") return;
    const isFresh = Date.now() - (backend.validatedAt?.getTime() ?? 0) < freshMs;
    const now = isFresh ? backend : ((await this.validate(backend, organization)) ?? backend);
    if (now.status !== "invalid") return;
    throw new DomainError("BACKEND_INVALID", `backend ${now.name} does not work: ${now.validationError}`, {
      metadata: { backend: now.name },
      retryAfterMs: freshMs,
    });
  }

  /** Validates the backends that are due and that no other replica has taken. */
  async validateDue(signal: AbortSignal): Promise<void> {
    const leaseMs = this.#options.timeoutMs + shortIntervalMs;
    while (!signal.aborted) {
      const due = await this.#options.store.claimDue(batch, leaseMs);
      await Promise.all(due.map(({ backend, organization }) => this.validate(backend, organization)));
      if (due.length < batch) return;
    }
  }

  /** Ends the probes under way; what they would have found out is not recorded. */
  async destroy(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#underWay.values());
  }

  async #validate(backend: Backend, organization: string): Promise<Backend | null> {
    const { store, intervalMs, onResult } = this.#options;
    if (backend.provider === "inline") return backend;
    const shortMs = Math.min(shortIntervalMs, intervalMs);
    const result = await this.#probe(backend, organization);
    if (this.#stop.signal.aborted) return backend;
    if (typeof result === "string") {
      onResult("unreachable");
      const error = `could not be validated: ${result}`;
      return store.recordValidation(backend, { status: undefined, error, notes: undefined, nextInMs: shortMs });
    }
    onResult(result.valid ? "valid" : "invalid");
    return store.recordValidation(backend, {
      status: result.valid ? "valid" : "invalid",
      error: result.valid ? "" : result.error || "the CAS gateway gave no reason",
      notes: result.notes,
      nextInMs: result.valid ? intervalMs : shortMs,
    });
  }

  /** The result, or why there is none. */
  async #probe(backend: Backend, organization: string): Promise<ProbeResult | string> {
    try {
      return await this.#options.probe(backend, organization, this.#stop.signal);
    } catch (error) {
      if (!this.#stop.signal.aborted)
        this.#options.logger.warn({ err: error, backend: backend.name, organization }, "could not validate a backend");
      return error instanceof DomainError ? error.message : "the CAS gateway refused to try it";
    }
  }
}
