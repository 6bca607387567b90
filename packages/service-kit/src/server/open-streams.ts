import type { HandlerContext } from "@connectrpc/connect";
import { DomainError } from "../errors/domain-error.ts";
import { networkOf } from "../limits/network.ts";
import { remoteAddressKey } from "./remote-address.ts";

const retryAfterMs = 1_000;

/** Streams that anyone may open, and may keep: so many in a process, and half of them from one network. */
export class OpenStreams {
  readonly #most: number;
  readonly #what: string;
  readonly #ofNetworks = new Map<string, number>();
  #open = 0;

  /** @param what in the plural, as a refusal names them */
  constructor(most: number, what: string) {
    this.#most = most;
    this.#what = what;
  }

  /** Returns what is called when the stream is over. Throws STORE_BUSY. */
  enter({ values }: HandlerContext): () => void {
    const network = networkOf(values.get(remoteAddressKey));
    const ofNetwork = this.#ofNetworks.get(network) ?? 0;
    if (this.#open >= this.#most) throw this.#busy(`${this.#most} ${this.#what} are open`);
    const share = this.#most / 2;
    if (ofNetwork >= share) throw this.#busy(`${share} ${this.#what} are open from this address`);
    this.#open++;
    this.#ofNetworks.set(network, ofNetwork + 1);
    return () => this.#leave(network);
  }

  #leave(network: string): void {
    this.#open--;
    const left = (this.#ofNetworks.get(network) ?? 1) - 1;
    if (left === 0) this.#ofNetworks.delete(network);
    else this.#ofNetworks.set(network, left);
  }

  #busy(message: string): DomainError {
    return new DomainError("STORE_BUSY", `${message}; try again in a moment`, { retryAfterMs });
  }
}
