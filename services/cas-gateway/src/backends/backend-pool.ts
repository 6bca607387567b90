import { join } from "node:path";
import { type CasBackend, DomainError } from "@attestry/service-kit";
import { LRUCache } from "lru-cache";
import { normalizePrefix, type Secret, secretInvalid } from "../secrets/secret.ts";
import type { Secrets } from "../secrets/secrets.ts";
import type { Backend } from "./backend.ts";
import { FilesystemBackend } from "./filesystem.ts";
import { namedBackend, ofBackend } from "./named-backend.ts";
import { S3Backend } from "./s3.ts";

const kept = 500;

export interface BackendPoolOptions {
  secrets: Secrets;
  /** Upper bound of one request to an object store, in milliseconds. */
  requestTimeoutMs: number;
  /** How long an upload that broke off is kept, in milliseconds. */
  uploadRetentionMs: number;
}

export interface BackendInUse {
  organization: string;
  provider: CasBackend["provider"];
  backend: Backend;
}

/** The backends in use, each made once per organization, secret and prefix, and anew when its secret changed. */
export class BackendPool {
  readonly #options: BackendPoolOptions;
  readonly #backends = new LRUCache<string, BackendInUse & { version: string }>({
    max: kept,
    dispose: ({ backend }) => backend.close(),
  });

  constructor(options: BackendPoolOptions) {
    this.#options = options;
  }

  /**
   * The organization's part of a backend: everything lies below `[secret's prefix]<organization>/[backend's prefix]`.
   * The operator's prefix comes first, and the organization's own only after its name: an organization chooses that
   * one freely, and must not be able to name what is another's.
   * Throws SECRET_INVALID, PREFIX_INVALID.
   */
  async get(organization: string, named: CasBackend): Promise<Backend> {
    const { secret, version } = await this.#options.secrets.resolve(organization, named.secretRef);
    if (secret.provider !== named.provider) {
      throw secretInvalid(
        named.secretRef,
        `it is for the provider ${secret.provider}, the backend ${named.name} is of ${named.provider}`,
      );
    }
    const key = JSON.stringify([organization, named.secretRef, named.prefix]);
    const known = this.#backends.get(key);
    if (known?.version === version) return known.backend;
    const backend = this.#create(secret, prefixOf(organization, named, secret));
    this.#backends.set(key, { version, organization, provider: secret.provider, backend });
    return backend;
  }

  /** The same for who tells the faults of several: they say whose they are. */
  async getNamed(organization: string, named: CasBackend): Promise<Backend> {
    try {
      return namedBackend(await this.get(organization, named), named.name);
    } catch (error) {
      throw ofBackend(error, named.name);
    }
  }

  /** Those that were asked for, and are not forgotten yet. */
  inUse(): BackendInUse[] {
    return [...this.#backends.values()];
  }

  close(): void {
    this.#backends.clear();
  }

  #create(secret: Secret, prefix: string): Backend {
    const { requestTimeoutMs, uploadRetentionMs } = this.#options;
    if (secret.provider === "filesystem")
      return new FilesystemBackend({ root: join(secret.path, prefix), uploadRetentionMs });
    return new S3Backend({ ...secret, prefix, requestTimeoutMs, uploadRetentionMs });
  }
}

function prefixOf(organization: string, named: CasBackend, secret: Secret): string {
  const own = normalizePrefix(named.prefix);
  if (own === undefined) {
    throw new DomainError(
      "PREFIX_INVALID",
      `the prefix of the backend ${named.name} must be path segments of letters, digits, dot, dash and underscore`,
    );
  }
  return `${secret.prefix}${organization}/${own}`;
}
