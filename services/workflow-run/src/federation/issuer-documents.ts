import { Agent, request } from "undici";
import { type IssuerBounds, issuerLookup, urlFault } from "./issuer-address.ts";

const timeoutMs = 5_000;
const mostBytes = 256 * 1_024;

/** Fetches what issuers publish: JSON, within 5 s and 256 KiB, without following redirects. */
export class IssuerDocuments {
  readonly #bounds: IssuerBounds;
  readonly #agent: Agent;

  constructor(bounds: IssuerBounds) {
    this.#bounds = bounds;
    this.#agent = new Agent({
      connect: { lookup: issuerLookup(bounds), timeout: timeoutMs },
      maxResponseSize: mostBytes,
      connections: 2,
      // Keys are fetched minutes apart.
      keepAliveTimeout: 1_000,
    });
  }

  /** Throws an Error that says what is wrong. */
  async fetch(url: string, signal: AbortSignal): Promise<unknown> {
    const fault = urlFault(url, this.#bounds);
    if (fault !== undefined) throw new Error(`${url} is ${fault}`);
    const { statusCode, body } = await request(url, {
      dispatcher: this.#agent,
      signal,
      headers: { accept: "application/json" },
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    });
    if (statusCode !== 200) {
      await body.dump({ limit: mostBytes }).catch(() => undefined);
      throw new Error(`${url} answered ${statusCode}`);
    }
    return JSON.parse(await body.text()) as unknown;
  }

  /** All that belongs to one issuer, in 5 s. Throws an Error that says what is wrong. */
  async jwks(issuer: string): Promise<unknown> {
    const own = new AbortController();
    const timer = setTimeout(() => own.abort(new Error(`${issuer} did not answer within ${timeoutMs} ms`)), timeoutMs);
    try {
      // OpenID Connect Discovery 1.0, section 4: below the issuer, without the slash at its end.
      const discovery = await this.fetch(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, own.signal);
      const { issuer: named, jwks_uri: uri } = (discovery ?? {}) as { issuer?: unknown; jwks_uri?: unknown };
      if (named !== issuer) throw new Error(`the discovery document of ${issuer} is of another issuer`);
      if (typeof uri !== "string" || URL.parse(uri)?.origin !== new URL(issuer).origin) {
        throw new Error(`the jwks_uri of ${issuer} is not at the issuer`);
      }
      return await this.fetch(uri, own.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  async destroy(): Promise<void> {
    await this.#agent.destroy();
  }
}
