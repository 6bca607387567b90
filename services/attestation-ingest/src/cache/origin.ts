import { digestOf } from "@attestry/bundle";
import { downloadBlob } from "@attestry/cas-client";
import { DomainError, type Logger, reasonOf } from "@attestry/service-kit";
import type { Transport } from "@connectrpc/connect";
import { LRUCache } from "lru-cache";
import { casFault } from "../cas-fault.ts";
import type { Attestations } from "../db/attestations.ts";
import type { RunPeer } from "../run-peer.ts";
import type { Telemetry } from "../telemetry.ts";
import type { BundleRef } from "./bundles.ts";

/** A CAS token lives 5 min; the last of them is left for the call. */
const tokenTtlMs = 4 * 60_000;
const downloadTimeoutMs = 60_000;

export interface OriginOptions {
  attestations: Attestations;
  run: RunPeer;
  cas: Transport;
  telemetry: Telemetry;
  logger: Logger;
}

/** Where bundles are kept: the rows, then the backends. */
export class Origin {
  readonly #options: OriginOptions;
  /** By organization. */
  readonly #tokens: LRUCache<string, string>;

  constructor(options: OriginOptions) {
    this.#options = options;
    this.#tokens = new LRUCache({
      max: 1_000,
      ttl: tokenTtlMs,
      ignoreFetchAbort: true,
      fetchMethod: (organizationId) => options.run.downloadToken(organizationId),
    });
  }

  /**
   * The bytes, their digest checked. A row with other bytes than its digest says is passed over for a backend that has
   * the right ones. Throws BUNDLE_CORRUPT, BUNDLE_MISSING, CAS_UNAVAILABLE.
   */
  async read(ref: BundleRef): Promise<Buffer> {
    const { attestations, telemetry, logger } = this.#options;
    const bytes = await attestations.bundle(ref.organizationId, ref.digest);
    if (bytes === undefined) return this.#download(ref);
    const actual = digestOf(bytes);
    if (actual === ref.digest) {
      telemetry.bundleRead("database");
      return bytes;
    }
    telemetry.bundleCorrupt("database");
    logger.error({ runId: ref.runId, digest: ref.digest, actual }, "a row has other bytes than its digest says");
    try {
      return await this.#download(ref);
    } catch (cause) {
      throw corrupt(ref, `the database has bytes with the digest ${actual}`, cause);
    }
  }

  async #download(ref: BundleRef): Promise<Buffer> {
    try {
      const bytes = await this.#fromBackends(ref);
      this.#options.telemetry.bundleRead("cas");
      return bytes;
    } catch (error) {
      throw this.#readable(error, ref);
    }
  }

  async #fromBackends(ref: BundleRef): Promise<Buffer> {
    const known = this.#tokens.get(ref.organizationId);
    try {
      return await this.#fetch(ref, known ?? (await this.#tokens.forceFetch(ref.organizationId)));
    } catch (error) {
      if (known === undefined || reasonOf(error) !== "BLOB_NOT_FOUND") throw error;
      // The token may be older than the backend that has the blob.
      return this.#fetch(ref, await this.#tokens.forceFetch(ref.organizationId, { forceRefresh: true }));
    }
  }

  #fetch({ digest, sizeBytes }: BundleRef, token: string): Promise<Buffer> {
    return downloadBlob(this.#options.cas, { token, digest, sizeBytes, timeoutMs: downloadTimeoutMs });
  }

  #readable(error: unknown, ref: BundleRef): unknown {
    const reason = reasonOf(error);
    if (reason === "BLOB_CORRUPT") {
      this.#options.telemetry.bundleCorrupt("cas");
      return corrupt(ref, "a backend has other bytes under it", error);
    }
    // BACKEND_INLINE: the organization has no external backend at all.
    if (reason === "BLOB_NOT_FOUND" || reason === "BACKEND_INLINE") {
      return new DomainError("BUNDLE_MISSING", `the bytes of ${ref.digest} are in no row and no backend`, {
        cause: error,
      });
    }
    return casFault(error, `the bytes of ${ref.digest} cannot be read for now`);
  }
}

function corrupt(ref: BundleRef, what: string, cause: unknown): DomainError {
  return new DomainError("BUNDLE_CORRUPT", `the bytes of ${ref.digest} were changed since they were stored: ${what}`, {
    metadata: { expected: ref.digest },
    cause,
  });
}
