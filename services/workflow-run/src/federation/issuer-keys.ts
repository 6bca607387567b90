import { DomainError, type Logger } from "@attestry/service-kit";
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import { LRUCache } from "lru-cache";

const mostIssuers = 200;
/** Keys are fetched anew after that. */
const freshMs = 10 * 60_000;
/** Kept for so long while the issuer does not answer. */
const goodMs = 24 * 3_600_000;
/** Between two fetches from one issuer, whatever is asked and however the last one ended. */
const cooldownMs = 30_000;
const mostKeys = 100;

interface Issuer {
  keys?: ReturnType<typeof createLocalJWKSet>;
  fetchedAt: number;
  triedAt: number;
  pending?: Promise<void> | undefined;
}

export interface IssuerKeysOptions {
  /** The JWK set of an issuer. */
  fetch: (issuer: string) => Promise<unknown>;
  logger: Logger;
  /** Milliseconds of a clock that only goes forward. */
  now?: () => number;
}

/**
 * The keys of issuers, kept for 10 min. However many ask and whatever they ask for, an issuer is asked once at a time and
 * once in 30 s; while it does not answer, its last keys count for a day.
 */
export class IssuerKeys {
  readonly #issuers = new LRUCache<string, Issuer>({ max: mostIssuers });
  readonly #options: IssuerKeysOptions;
  readonly #now: () => number;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Finds the key of a token for jose. Throws JWKSNoMatchingKey, and ISSUER_UNAVAILABLE without good keys. */
  of(issuer: string): JWTVerifyGetKey {
    return async (header, token) => {
      const state = this.#stateOf(issuer);
      if (this.#now() - state.fetchedAt > freshMs) await this.#refresh(issuer, state);
      try {
        return await this.#keysOf(issuer, state)(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey) || !(await this.#refresh(issuer, state))) throw error;
        return this.#keysOf(issuer, state)(header, token);
      }
    };
  }

  #stateOf(issuer: string): Issuer {
    const known = this.#issuers.get(issuer);
    if (known !== undefined) return known;
    const fresh: Issuer = { fetchedAt: Number.NEGATIVE_INFINITY, triedAt: Number.NEGATIVE_INFINITY };
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
      state.keys = createLocalJWKSet(publicKeys(await this.#options.fetch(issuer)));
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
