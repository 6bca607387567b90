import { type CircuitBreakerPolicy, ConsecutiveBreaker, circuitBreaker, handleWhen } from "cockatiel";
import { LRUCache } from "lru-cache";
import { heldBackFor, isCasFault } from "../cas-fault.ts";
import type { ClaimOptions } from "../db/uploads.ts";
import { StartRate } from "./start-rate.ts";

const failuresToStop = 3;
/** The breaker lets a probe through only after its time has passed. */
const probeMarginMs = 20;
const mostBackends = 1_000;

interface Health {
  breaker: CircuitBreakerPolicy;
  /** By performance.now(); undefined: it works. */
  brokenAt: number | undefined;
  underWay: number;
}

const idle: Pick<Health, "brokenAt" | "underWay"> = { brokenAt: undefined, underWay: 0 };

/** How many uploads more may start: for backends in `rooms` what it says, for any other as many as `perBackend`. */
export type Room = Pick<ClaimOptions, "perBackend" | "probe" | "rooms">;

export interface BackendHealthOptions {
  /** Uploads at a time. */
  perBackend: number;
  /** Uploads that may start in a second. */
  perSecond: number;
  probeMs: number;
  /** Backends that are known as broken and are probed at a time. */
  probesAtOnce: number;
  /** The backend took what it had failed to take: whatever else waits for it is worth a try now. */
  onRecovered: (backendId: string) => void;
}

/** Which backends take uploads: one that fails gets a single probe every so often, so that it fills no batch. */
export class BackendHealth {
  readonly #options: BackendHealthOptions;
  readonly #backends = new Map<string, Health>();
  readonly #rate: StartRate;
  /** Of which it was said within `probeMs` that they work again. */
  readonly #recovered: LRUCache<string, true>;
  #probedAt = performance.now();

  constructor(options: BackendHealthOptions) {
    this.#options = options;
    this.#rate = new StartRate(options.perSecond);
    this.#recovered = new LRUCache({ max: mostBackends, ttl: options.probeMs });
  }

  /**
   * What may be claimed now. Each `probeMs` one row of each backend may be taken before it is due, also of those that
   * this process knows nothing bad of: it may have begun while the backend was away and all rows had been put off.
   * Other workers ask for the same; the claim lets one of them.
   */
  room(): Room {
    const probe = performance.now() - this.#probedAt > this.#options.probeMs;
    if (probe) this.#probedAt = performance.now();
    const mostAtOnce = Math.min(this.#options.perBackend, this.#options.perSecond);
    const known = new Set([...this.#backends.keys(), ...this.#rate.backends()]);
    return {
      perBackend: probe ? 1 : mostAtOnce,
      probe,
      rooms: [...known].flatMap((backendId) => this.#roomOf(backendId, probe)),
    };
  }

  #roomOf(backendId: string, probe: boolean): ClaimOptions["rooms"] {
    const { brokenAt, underWay } = this.#backends.get(backendId) ?? idle;
    if (brokenAt !== undefined) {
      const isTime = performance.now() - brokenAt > this.#options.probeMs + probeMarginMs;
      const mayProbe = isTime && underWay === 0 && this.#probing < this.#options.probesAtOnce;
      return [{ backendId, room: mayProbe ? 1 : 0, probe: mayProbe, underWay }];
    }
    const room = Math.max(0, Math.min(this.#options.perBackend - underWay, this.#rate.room(backendId)));
    // With nothing under way it is like the unknown ones.
    return probe && underWay === 0 && room > 0 ? [] : [{ backendId, room, probe: false, underWay }];
  }

  /** Each may hang for as long as an upload may take. */
  get #probing(): number {
    return [...this.#backends.values()].filter(({ brokenAt, underWay }) => brokenAt !== undefined && underWay > 0)
      .length;
  }

  /**
   * Reads what is to be uploaded and uploads it, and learns from how the upload ends. A read that fails says nothing of
   * the backend, but as a probe it had its turn.
   */
  async run<T>(
    { backendId, attempts }: { backendId: string; attempts: number },
    read: () => Promise<T>,
    upload: (read: T) => Promise<void>,
  ): Promise<void> {
    const health = this.#of(backendId);
    health.underWay++;
    this.#rate.take(backendId);
    try {
      const bytes = await read();
      await health.breaker.execute(() => upload(bytes));
      // Not for each of many: a row that fails for a reason of its own would be tried without end.
      if (attempts > 0 && !this.#recovered.has(backendId)) this.#works(backendId);
      // What works and is idle needs no remembering.
      if (health.underWay === 1) this.#backends.delete(backendId);
    } finally {
      health.underWay--;
      if (health.brokenAt !== undefined) health.brokenAt = performance.now();
    }
  }

  #works(backendId: string): void {
    this.#recovered.set(backendId, true);
    this.#options.onRecovered(backendId);
  }

  #of(backendId: string): Health {
    const known = this.#backends.get(backendId);
    if (known !== undefined) return known;
    const health: Health = {
      breaker: circuitBreaker(
        // That a call was one too many does not say that a broken backend works again; the breaker would take it so.
        handleWhen((error) => isCasFault(error) || (health.brokenAt !== undefined && heldBackFor(error) !== undefined)),
        { halfOpenAfter: this.#options.probeMs, breaker: new ConsecutiveBreaker(failuresToStop) },
      ),
      brokenAt: undefined,
      underWay: 0,
    };
    health.breaker.onBreak(() => {
      health.brokenAt = performance.now();
    });
    health.breaker.onReset(() => {
      health.brokenAt = undefined;
      this.#works(backendId);
    });
    this.#backends.set(backendId, health);
    return health;
  }
}
