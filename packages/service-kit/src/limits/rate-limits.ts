import type { Registry } from "prom-client";
import type { Strangers } from "../auth/authenticator.ts";
import type { Principal } from "../auth/principal.ts";
import { DomainError } from "../errors/domain-error.ts";
import type { Logger } from "../observe/logger.ts";
import { Buckets } from "./buckets.ts";
import { networkOf } from "./network.ts";
import { RefusedTokens } from "./refused-tokens.ts";
import { SharedCounts } from "./shared-counts.ts";
import { createRateTelemetry, type RateTelemetry } from "./telemetry.ts";

/** How many requests a second; 0: any number. */
export interface Rates {
  token: number;
  organization: number;
  /** Tokens from one address that are looked at and refused. */
  failures: number;
}

export interface RateLimitsOptions {
  rates: Rates;
  /** Of Redis, in which replicas count together; undefined: each by itself. */
  redisUrl?: string | undefined;
  /** Whose requests they are, so that services do not share a count. */
  prefix: string;
  logger: Logger;
  metrics: Registry;
}

type Limit = keyof Rates;

/** Below it a caller that waits would mostly wait again. */
const leastWaitMs = 200;

/**
 * How often callers may call: each token and each organization, and each address whose tokens are refused. Asked on the
 * headers of a call. Services calling each other are not counted.
 */
export class RateLimits {
  readonly #buckets: Record<"token" | "organization", Buckets | undefined>;
  readonly #failures: RefusedTokens | undefined;
  readonly #shared: SharedCounts | undefined;
  readonly #telemetry: RateTelemetry;

  constructor({ rates, redisUrl, prefix, logger, metrics }: RateLimitsOptions) {
    const bucketsOf = (rate: number) => (rate === 0 ? undefined : new Buckets(rate));
    this.#buckets = { token: bucketsOf(rates.token), organization: bucketsOf(rates.organization) };
    this.#failures = rates.failures === 0 ? undefined : new RefusedTokens(rates.failures);
    this.#telemetry = createRateTelemetry(metrics);
    const { token, organization } = rates;
    if (redisUrl === undefined || (token === 0 && organization === 0)) return;
    const onFault = () => this.#telemetry.sharedSkipped();
    this.#shared = new SharedCounts({ url: redisUrl, prefix, perSecond: { token, organization }, onFault, logger });
  }

  /** A caller that is who it says. Throws RATE_LIMITED. */
  admit(principal: Principal): void {
    if (principal.kind === "service") return;
    if (principal.kind === "api") this.#take("token", principal.tokenId);
    this.#take("organization", principal.organizationId);
  }

  /** Those at an address who are not known yet. To enter and to count throw RATE_LIMITED. */
  strangersAt(address: string | undefined): Strangers | undefined {
    const failures = this.#failures;
    if (failures === undefined) return undefined;
    const unlessLimited = (waitMs: number) => {
      if (waitMs > 0) throw this.#limited("failures", failures.perSecond, waitMs);
    };
    // The network is not made out before it is needed: most calls are of those who are known.
    return {
      count: () => unlessLimited(failures.count(networkOf(address))),
      enter: async () => unlessLimited(await failures.enter(networkOf(address))),
      leave: (good) => failures.leave(networkOf(address), good),
    };
  }

  async destroy(): Promise<void> {
    await this.#shared?.destroy();
  }

  #take(limit: "token" | "organization", key: string): void {
    const buckets = this.#buckets[limit];
    if (buckets === undefined) return;
    const waitMs = buckets.take(key) || (this.#shared?.count(limit, key) ?? 0);
    if (waitMs > 0) throw this.#limited(limit, buckets.perSecond, waitMs);
  }

  #limited(limit: Limit, perSecond: number, waitMs: number): DomainError {
    this.#telemetry.limited(limit);
    const whose = {
      token: "requests a second with this token",
      organization: "requests a second of this organization",
      failures: "refused tokens a second from this address",
    }[limit];
    return new DomainError("RATE_LIMITED", `more than ${perSecond} ${whose}; try again in a moment`, {
      metadata: { limit, expected: `at most ${perSecond} a second` },
      retryAfterMs: Math.max(leastWaitMs, Math.ceil(waitMs)),
    });
  }
}
