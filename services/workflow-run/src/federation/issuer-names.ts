import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { type IssuerBounds, mayConnect } from "./issuer-address.ts";

/** Each holds one of the 4 threads that files, keys and compression need too, and cannot be cut short. */
const mostLookups = 2;

export interface IssuerNamesOptions {
  bounds: IssuerBounds;
  lookup?: (name: string) => Promise<LookupAddress[]>;
}

/**
 * Resolves the names of issuers as the host does (`/etc/hosts` and search domains count): at most 2 at a time, and one of
 * each organization, so that a name server which does not answer holds up nobody else for long.
 */
export class IssuerNames {
  readonly #bounds: IssuerBounds;
  readonly #lookup: (name: string) => Promise<LookupAddress[]>;
  /** The organizations for which a name is being resolved. */
  readonly #underWay = new Set<string>();
  #waiting: (() => void)[] = [];

  constructor({ bounds, lookup: own = (name) => lookup(name, { all: true }) }: IssuerNamesOptions) {
    this.#bounds = bounds;
    this.#lookup = own;
  }

  /**
   * The addresses of a name. Throws an Error if any of them is one that may not be asked, so that no answer of a name
   * server leads into the own network, and what the signal was aborted with.
   */
  async resolve(name: string, organizationId: string, signal: AbortSignal): Promise<LookupAddress[]> {
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      while (this.#underWay.has(organizationId) || this.#underWay.size >= mostLookups) {
        await Promise.race([new Promise<void>((goOn) => this.#waiting.push(goOn)), aborted]);
      }
      signal.throwIfAborted();
      const addresses = await Promise.race([this.#start(name, organizationId), aborted]);
      const refused = addresses.find(({ address }) => !mayConnect(address, this.#bounds));
      if (refused !== undefined) throw new Error(`${name} is at ${refused.address}, which may not be asked`);
      return addresses;
    } finally {
      signal.removeEventListener("abort", abort);
      aborted.catch(() => undefined);
    }
  }

  /** Its place is free once the thread is, whether anybody still waits for the answer or not. */
  #start(name: string, organizationId: string): Promise<LookupAddress[]> {
    this.#underWay.add(organizationId);
    return this.#lookup(name).finally(() => {
      this.#underWay.delete(organizationId);
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const goOn of waiting) goOn();
    });
  }
}
