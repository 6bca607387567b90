import { AsyncLocalStorage } from "node:async_hooks";
import type { TrustPolicy } from "@attestry/bundle";
import { LRUCache } from "lru-cache";
import type { RunPeer } from "../run-peer.ts";

/** Names one policy for good: an organization's revisions never change. */
export interface TrustKey {
  organizationId: string;
  revision: number;
}

// A policy has at most 256 KiB (attestry/run/v1/trust.proto).
const mostBytes = 16 * 1024 * 1024;
const leastBytes = 1_024;
/** A database of workflow-run that was restored from a backup gives a number again: then another policy has it. */
const ttlMs = 10 * 60_000;

/** The trust policies of organizations as workflow-run keeps them. Those used last stay in memory. */
export class TrustPolicies {
  readonly #cache: LRUCache<string, TrustPolicy, TrustKey>;

  constructor(run: Pick<RunPeer, "trustPolicy">) {
    // A load is shared, so it must not end with the deadline of the request that began it.
    const outsideRequests = AsyncLocalStorage.snapshot();
    this.#cache = new LRUCache({
      maxSize: mostBytes,
      ttl: ttlMs,
      sizeCalculation: sizeOf,
      // Without this a load that newer ones push out would fail for all that wait for it.
      ignoreFetchAbort: true,
      fetchMethod: (_key, _stale, { context }) => outsideRequests(() => run.trustPolicy(context)),
    });
  }

  /** Throws TRUST_NOT_FOUND, PEER_UNAVAILABLE. */
  get(key: TrustKey): Promise<TrustPolicy> {
    return this.#cache.forceFetch(`${key.organizationId}:${key.revision}`, { context: key });
  }
}

function sizeOf({ material, signers }: TrustPolicy): number {
  const { trustedRoots, certificateAuthorities, publicKeys } = material;
  const texts = [...trustedRoots, ...certificateAuthorities, ...publicKeys];
  const patterns = signers.flatMap(({ subject, issuer }) => [subject, issuer]);
  return [...texts, ...patterns].reduce((sum, text) => sum + text.length, leastBytes);
}
