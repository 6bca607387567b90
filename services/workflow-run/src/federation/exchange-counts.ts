import { createHash } from "node:crypto";
import { DomainError } from "@attestry/service-kit";
import { LRUCache } from "lru-cache";

/** A job that exchanges its token again and again leaves rows each time, some of them for good. */
const mostExchanges = 20;
const rememberedTokens = 20_000;
const rememberedMs = 3_600_000;

/** How often each ID token was exchanged, as far as this process knows. */
export class ExchangeCounts {
  readonly #counts = new LRUCache<string, number>({ max: rememberedTokens, ttl: rememberedMs });

  /** Of an ID token that was verified. Throws RATE_LIMITED once it was exchanged as often as one may be. */
  count(idToken: string): void {
    const key = createHash("sha256").update(idToken).digest("base64");
    const count = this.#counts.get(key) ?? 0;
    if (count >= mostExchanges) {
      throw new DomainError(
        "RATE_LIMITED",
        `this ID token was exchanged ${count} times; ask the CI system for a new one`,
        {
          metadata: { limit: "id_token", expected: `at most ${mostExchanges} times` },
        },
      );
    }
    this.#counts.set(key, count + 1);
  }
}
