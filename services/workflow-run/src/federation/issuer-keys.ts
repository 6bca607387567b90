import { DomainError, type Logger } from "@attestry/service-kit";
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import { LRUCache } from "lru-cache";
import { mostRules } from "./rule.ts";

const mostIssuers = 500;
/** That one organization brought, as many as it may have rules: with more it pushes out its own. */
const mostOfOne = mostRules;
/** Keys are fetched anew after that. */
const freshMs = 10 * 60_000;
/** Kept for so long while the issuer does not answer. */
const goodMs = 24 * 3_600_000;
/** Between two fetches from one issuer, whatever is asked and however the last one ended. */
const cooldownMs = 30_000;
const mostKeys = 100;

interface Issuer {
  /** The organization that asked first. */
  broughtBy: string;
  keys?: ReturnType<typeof createLocalJWKSet>;
  fetchedAt: number;
  triedAt: number;
  pending?: Promise<void> | undefined;
}

export interface IssuerKeysOptions {
  /** The JWK set of an issuer, which an organization asks for. */
  fetch: (issuer: string, organizationId: string) => Promise<unknown>;
  logger: Logger;
  /** Milliseconds of a clock that only goes forward. */
  now?: () => number;
}

/**
 * The keys of issuers, kept for 10 min. However many ask and whatever they ask for, an issuer is asked once at a time and
 * once in 30 s; while it does not answer, its last keys count for a day. Organizations share the issuers that they have in
 * common, and one alone never pushes out what others brought.
 */
export class IssuerKeys {
  readonly #issuers = new LRUCache<string, Issuer>({ max: mostIssuers });
  readonly #options: IssuerKeysOptions;
  readonly #now: () => number;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Finds the key of a token for jose, under a rule of the organization. Throws JWKSNoMatchingKey, and ISSUER_UNAVAILABLE without good keys. */
  of(issuer: string, organizationId: string): JWTVerifyGetKey {
    return async (header, token) => {
      const state = this.#stateOf(issuer, organizationId);
      if (this.#now() - state.fetchedAt > freshMs) await this.#refresh(issuer, state);
      try {
        return await this.#keysOf(issuer, state)(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey) || !(await this.#refresh(issuer, state))) throw error;
        return this.#keysOf(issuer, state)(header, token);
      }
    };
  }

  #stateOf(issuer: string, broughtBy: string): Issuer {
    const known = this.#issuers.get(issuer);
    if (known !== undefined) return known;
    // The most recently used first.
    const own = [...this.#issuers.entries()].filter(([, state]) => state.broughtBy === broughtBy);
    const leastUsed = own[mostOfOne - 1];
    if (leastUsed !== undefined) this.#issuers.delete(leastUsed[0]);
    const fresh: Issuer = { broughtBy, fetchedAt: Number.NEGATIVE_INFINITY, triedAt: Number.NEGATIVE_INFINITY };
    this.#issuers.set(issuer, fresh);
    return fresh;
  }

  #keysOf(issuer: string, { keys, fetchedAt, triedAt }: Issuer): ReturnType<typeof createLocalJWKSet> {
    if (keys !== undefined && this.#now() - fetchedAt <= goodMs) return keys;
    throw new DomainError("ISSUER_UNAVAILABLE", `the keys of ${issuer} could not be fetched`, {
      retryAfterMs: Math.ceil(Math.max(1_000, triedAt + cooldownMs - this.#now())),
    });
  }

  /** False: it was asked a moment ago. */
  async #refresh(issuer: string, state: Issuer): Promise<boolean> {
    if (state.pending === undefined) {
      if (this.#now() - state.triedAt < cooldownMs) return false;
      state.triedAt = this.#now();
      state.pending = this.#fetch(issuer, state).finally(() => {
        state.pending = undefined;
      });
    }
    await state.pending;
    return true;
  }

  async #fetch(issuer: string, state: Issuer): Promise<void> {
    try {
      state.keys = createLocalJWKSet(publicKeys(await this.#options.fetch(issuer, state.broughtBy)));
      state.fetchedAt = this.#now();
    } catch (error) {
      this.#options.logger.warn({ err: error, issuer }, "could not fetch the keys of an issuer");
    }
  }
}

/** Without shared secrets, which verify nothing that only the issuer could sign. */
function publicKeys(jwks: unknown): JSONWebKeySet {
  const { keys } = (jwks ?? {}) as Partial<JSONWebKeySet>;
  if (!Array.isArray(keys) || keys.length > mostKeys) throw new Error(`not a JWK set of at most ${mostKeys} keys`);
  return { keys: keys.filter(({ kty }) => kty !== "oct") };
}
