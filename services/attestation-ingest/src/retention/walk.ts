import { LRUCache } from "lru-cache";

const mostOrganizations = 10_000;

/** Walks a list of each organization from place to place, and goes on next time where it was interrupted. */
export class Walk<Place extends {}> {
  readonly #places = new LRUCache<string, Place>({ max: mostOrganizations });

  /** `step` does what comes after the place, and returns the next one; undefined: it has reached the end. */
  async go(
    organizationId: string,
    signal: AbortSignal,
    step: (after: Place | undefined) => Promise<Place | undefined>,
  ): Promise<void> {
    let place = this.#places.get(organizationId);
    while (!signal.aborted) {
      place = await step(place);
      if (place === undefined) {
        this.#places.delete(organizationId);
        return;
      }
      this.#places.set(organizationId, place);
    }
  }
}
