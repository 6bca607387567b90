import { AsyncLocalStorage } from "node:async_hooks";
import { digestOf } from "@attestry/bundle";
import { LRUCache } from "lru-cache";
import type { Attestation } from "../store/attestation.ts";
import type { Telemetry } from "../telemetry.ts";
import type { Origin } from "./origin.ts";
import type { RedisLevel } from "./redis-level.ts";

/** Names the bytes of a bundle: bytes are never shared between organizations. */
export type BundleRef = Pick<Attestation, "organizationId" | "digest" | "sizeBytes" | "runId">;

/** One bundle may take this share of the cache in the process; a larger one is read anew each time. */
const largestShare = 8;

export interface BundlesOptions {
  cacheBytes: number;
  /** Undefined: no second level. */
  redis: RedisLevel | undefined;
  origin: Origin;
  telemetry: Telemetry;
}

/**
 * Reads bundles: from the process, then Redis, then where they are kept. Whatever comes from outside the process has
 * its digest checked. Concurrent reads of one bundle share one load. Stores do not fill the cache: most of what is
 * stored is not read soon, and would push out what is.
 */
export class Bundles {
  readonly #cache: LRUCache<string, Buffer, BundleRef>;
  readonly #telemetry: Telemetry;

  constructor({ cacheBytes, redis, origin, telemetry }: BundlesOptions) {
    this.#telemetry = telemetry;
    // A load is shared, so it must not end with the deadline of the request that began it.
    const outsideRequests = AsyncLocalStorage.snapshot();
    this.#cache = new LRUCache({
      maxSize: cacheBytes,
      maxEntrySize: Math.max(1, Math.floor(cacheBytes / largestShare)),
      sizeCalculation: (bytes) => bytes.length,
      // Without this a load that newer ones push out would fail for all that wait for it. allowStaleOnFetchAbort would
      // undo it: such a load would give its stale value at once, which is none.
      ignoreFetchAbort: true,
      fetchMethod: (key, _stale, { context: ref }) => outsideRequests(() => load(key, ref)),
    });

    async function load(key: string, ref: BundleRef): Promise<Buffer> {
      const cached = await redis?.get(key);
      if (cached !== undefined) {
        if (digestOf(cached) === ref.digest) {
          telemetry.bundleRead("redis");
          return cached;
        }
        telemetry.bundleCorrupt("redis");
      }
      const bytes = await origin.read(ref);
      redis?.set(key, bytes);
      return bytes;
    }
  }

  /** The bytes of the bundle. Throws BUNDLE_MISSING, BUNDLE_CORRUPT, CAS_UNAVAILABLE. Not to be changed: they are shared. */
  async read(ref: BundleRef): Promise<Buffer> {
    const key = `${ref.organizationId}:${ref.digest}`;
    const cached = this.#cache.get(key);
    if (cached !== undefined) {
      this.#telemetry.bundleRead("process");
      return cached;
    }
    return this.#cache.forceFetch(key, { context: ref });
  }
}
