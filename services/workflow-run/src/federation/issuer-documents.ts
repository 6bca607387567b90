import type { LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { Agent, request } from "undici";
import { type IssuerBounds, urlFault } from "./issuer-address.ts";
import type { IssuerNames } from "./issuer-names.ts";

const timeoutMs = 5_000;
const mostBytes = 256 * 1_024;

export interface IssuerDocumentsOptions {
  bounds: IssuerBounds;
  names: IssuerNames;
}

/** Fetches what issuers publish: JSON, within 5 s and 256 KiB, without following redirects. */
export class IssuerDocuments {
  readonly #options: IssuerDocumentsOptions;
  readonly #stop = new AbortController();

  constructor(options: IssuerDocumentsOptions) {
    this.#options = options;
  }

  /** The JWK set of an issuer that a rule of the organization names, in 5 s. Throws an Error that says what is wrong. */
  async jwks(issuer: string, organizationId: string): Promise<unknown> {
    const own = new AbortController();
    const timer = setTimeout(() => own.abort(new Error(`${issuer} did not answer within ${timeoutMs} ms`)), timeoutMs);
    const signal = AbortSignal.any([own.signal, this.#stop.signal]);
    try {
      return await this.#jwks(issuer, organizationId, signal);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Cuts short what is under way. */
  destroy(): Promise<void> {
    this.#stop.abort(new Error("the service ends"));
    return Promise.resolve();
  }

  async #jwks(issuer: string, organizationId: string, signal: AbortSignal): Promise<unknown> {
    const { origin, hostname } = this.#allowed(issuer);
    const isAddress = isIP(hostname.replace(/^\[|\]$/g, "")) !== 0;
    const addresses = isAddress ? [] : await this.#options.names.resolve(hostname, organizationId, signal);
    const agent = new Agent({
      // To what was judged, whatever the name stands for by then.
      connect: { lookup: toAddresses(addresses), timeout: timeoutMs },
      maxResponseSize: mostBytes,
    });
    try {
      // OpenID Connect Discovery 1.0, section 4: below the issuer, without the slash at its end.
      const discovery = await fetchJson(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, agent, signal);
      const { issuer: named, jwks_uri: uri } = (discovery ?? {}) as { issuer?: unknown; jwks_uri?: unknown };
      if (named !== issuer) throw new Error(`the discovery document of ${issuer} is of another issuer`);
      if (typeof uri !== "string" || URL.parse(uri)?.origin !== origin) {
        throw new Error(`the jwks_uri of ${issuer} is not at the issuer`);
      }
      this.#allowed(uri);
      return await fetchJson(uri, agent, signal);
    } finally {
      await agent.destroy();
    }
  }

  #allowed(url: string): URL {
    const fault = urlFault(url, this.#options.bounds);
    if (fault !== undefined) throw new Error(`${url} is ${fault}`);
    return new URL(url);
  }
}

async function fetchJson(url: string, dispatcher: Agent, signal: AbortSignal): Promise<unknown> {
  const headers = { accept: "application/json" };
  const { statusCode, body } = await request(url, { dispatcher, signal, headers });
  if (statusCode !== 200) {
    await body.dump({ limit: mostBytes }).catch(() => undefined);
    throw new Error(`${url} answered ${statusCode}`);
  }
  return JSON.parse(await body.text()) as unknown;
}

function toAddresses(addresses: LookupAddress[]): LookupFunction {
  return (name, options, done) => {
    const [first] = addresses;
    if (first === undefined) return done(new Error(`${name} has no address`), "", 0);
    if (options.all) return done(null, addresses);
    return done(null, first.address, first.family);
  };
}
