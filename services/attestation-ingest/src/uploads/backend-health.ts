import { type CircuitBreakerPolicy, ConsecutiveBreaker, circuitBreaker, handleWhen } from "cockatiel";
import { isCasFault } from "../cas-fault.ts";

const failuresToStop = 3;
/** The breaker lets a probe through only after its time has passed. */
const probeMarginMs = 20;

interface Health {
  breaker: CircuitBreakerPolicy;
  /** By performance.now(); undefined: it works. */
  brokenAt: number | undefined;
  underWay: number;
}

export interface BackendHealthOptions {
  perBackend: number;
  probeMs: number;
  /** The backend works again after it did not. */
  onRecovered: (backendId: string) => void;
}

/** Which backends take uploads: one that fails gets a single probe every so often, so that it fills no batch. */
export class BackendHealth {
  readonly #options: BackendHealthOptions;
  readonly #backends = new Map<string, Health>();

  constructor(options: BackendHealthOptions) {
    this.#options = options;
  }

  /** How many uploads more may start, for the backends of which anything is known. */
  rooms(): { backendId: string; room: number; probe: boolean }[] {
    return [...this.#backends].map(([backendId, { brokenAt, underWay }]) => {
      if (brokenAt === undefined)
        return { backendId, room: Math.max(0, this.#options.perBackend - underWay), probe: false };
      const mayProbe = underWay === 0 && performance.now() - brokenAt > this.#options.probeMs + probeMarginMs;
      return { backendId, room: mayProbe ? 1 : 0, probe: mayProbe };
    });
  }

  /**
   * Reads what is to be uploaded and uploads it, and learns from how the upload ends. A read that fails says nothing of
   * the backend, but as a probe it had its turn.
   */
  async run<T>(backendId: string, read: () => Promise<T>, upload: (read: T) => Promise<void>): Promise<void> {
    const health = this.#of(backendId);
    health.underWay++;
    try {
      const bytes = await read();
      await health.breaker.execute(() => upload(bytes));
      // What works and is idle needs no remembering.
      if (health.underWay === 1) this.#backends.delete(backendId);
    } finally {
      health.underWay--;
      if (health.brokenAt !== undefined) health.brokenAt = performance.now();
    }
  }

  #of(backendId: string): Health {
    const known = this.#backends.get(backendId);
    if (known !== undefined) return known;
    const breaker = circuitBreaker(handleWhen(isCasFault), {
      halfOpenAfter: this.#options.probeMs,
      breaker: new ConsecutiveBreaker(failuresToStop),
    });
    const health: Health = { breaker, brokenAt: undefined, underWay: 0 };
    breaker.onBreak(() => {
      health.brokenAt = performance.now();
    });
    breaker.onReset(() => {
      health.brokenAt = undefined;
      this.#options.onRecovered(backendId);
    });
    this.#backends.set(backendId, health);
    return health;
  }
}
