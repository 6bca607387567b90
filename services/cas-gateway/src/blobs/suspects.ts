import type { CasBackend } from "@attestry/service-kit";
import { LRUCache } from "lru-cache";

const remembered = 10_000;

/**
 * Objects that were read as corrupt and could not be set aside. Until a right write replaces one, it does not count
 * as the blob, so that a client is not told that it exists, and it is read only if nothing else is there. Known to this
 * process only, and again after the next read.
 */
export class Suspects {
  readonly #keys = new LRUCache<string, true>({ max: remembered });

  has(organization: string, backend: CasBackend, key: string): boolean {
    return this.#keys.size > 0 && this.#keys.has(idOf(organization, backend, key));
  }

  add(organization: string, backend: CasBackend, key: string): void {
    this.#keys.set(idOf(organization, backend, key), true);
  }

  clear(organization: string, backend: CasBackend, key: string): void {
    if (this.#keys.size > 0) this.#keys.delete(idOf(organization, backend, key));
  }
}

function idOf(organization: string, { secretRef, prefix }: CasBackend, key: string): string {
  return JSON.stringify([organization, secretRef, prefix, key]);
}
