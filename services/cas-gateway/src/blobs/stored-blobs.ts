import type { CasBackend, CasPrincipal, CasSpace } from "@attestry/service-kit";
import { DomainError, reasonOf } from "@attestry/service-kit";
import type { Backend, OpenBlob, Range, StoredBlob } from "../backends/backend.ts";
import type { BackendPool } from "../backends/backend-pool.ts";
import { isStale, type Keeping, keepingOf } from "../retention/keeping.ts";
import { type BlobQuery, type BlobRef, digestOf, isEmptyBlob } from "./blob-ref.ts";
import { concurrently } from "./concurrently.ts";
import { blobKey } from "./key.ts";
import type { Place, Proofs } from "./proofs.ts";
import type { Suspects } from "./suspects.ts";

const keptAtATime = 32;

/** A blob in one of the caller's backends. */
export interface Found<T> extends Place {
  value: T;
}

/** Looks for blobs in the caller's backends, in the token's order, and there in the token's own key space first. */
export class StoredBlobs {
  readonly #pool: Pick<BackendPool, "getNamed">;
  readonly #suspects: Suspects;
  readonly #proofs: Proofs;

  constructor(pool: Pick<BackendPool, "getNamed">, { suspects, proofs }: { suspects: Suspects; proofs: Proofs }) {
    this.#pool = pool;
    this.#suspects = suspects;
    this.#proofs = proofs;
  }

  /** Throws BLOB_NOT_FOUND if every backend said so, and else the fault of the first that could not tell. */
  describe(
    caller: CasPrincipal,
    hex: string,
    spaces: readonly CasSpace[],
    signal: AbortSignal,
  ): Promise<Found<StoredBlob>> {
    return this.#first(caller, hex, spaces, (backend, key) => backend.describe(key, signal));
  }

  /**
   * Opens a blob for reading. Throws as `describe` does, and BLOB_CORRUPT. An object of another size is not the blob that was
   * named, by the Remote Execution API's rule that a digest is hash and size, if it was named with its size; if there is no
   * other it is read, to tell a wrong name from an object that was cut short. None of `tried` is opened again, and one that
   * was read as corrupt only if there is no other.
   */
  async open(
    caller: CasPrincipal,
    blob: BlobQuery,
    range: Range,
    signal: AbortSignal,
    tried: readonly Found<OpenBlob>[] = [],
  ): Promise<Found<OpenBlob>> {
    let suspected = 0;
    const unlike: Place[] = [];
    const look = (withSuspects: boolean) => async (backend: Backend, key: string, named: CasBackend) => {
      if (tried.some((found) => found.named === named && found.key === key)) return undefined;
      if (!withSuspects && this.#suspects.has(caller.organization, named, key)) {
        suspected++;
        return undefined;
      }
      const place = { organization: caller.organization, named, backend, key };
      const askedAt = Date.now();
      const opened = await backend.read(key, range, signal);
      if (opened === undefined) this.#proofs.gone(place, askedAt);
      if (opened === undefined || opened.sizeBytes === (blob.sizeBytes ?? opened.sizeBytes)) return opened;
      await opened.close();
      unlike.push(place);
      return undefined;
    };
    return this.#first(caller, blob.hex, spacesOf(caller), look(false))
      .catch((error: unknown) => {
        if (suspected === 0) throw error;
        return this.#first(caller, blob.hex, spacesOf(caller), look(true));
      })
      .catch(async (error: unknown) => {
        if (reasonOf(error) === "BLOB_NOT_FOUND")
          for (const place of unlike) await this.#throwIfCorrupt(place, blob.hex, signal);
        throw error;
      });
  }

  /** Whether the blob is in one of the caller's backends, by its size. Throws as `open` does. */
  async find(caller: CasPrincipal, blob: BlobRef, signal: AbortSignal): Promise<void> {
    const found = await this.open(caller, blob, { offset: 0, length: 1 }, signal);
    await found.value.close();
  }

  /**
   * Whether an upload of the caller would find the blob there: in its first backend and own key space, and proven to be
   * the blob, which may take a read of it. The empty blob always is, by the rule of the Remote Execution API.
   */
  async isStored(caller: CasPrincipal, blob: BlobRef, signal: AbortSignal): Promise<boolean> {
    if (isEmptyBlob(blob)) return true;
    return this.#proofs.isThere(await this.uploadPlace(caller, blob.hex), blob, signal, keepingOf(caller));
  }

  /**
   * Those of the blobs that an upload of the caller would not find there, as far as sizes and what was found corrupt
   * tell: to read them all would be too much. The write that then tells more is the one that is needed. What is not missing
   * stays as long as a write now would have it stay.
   */
  async missing<T extends BlobRef>(caller: CasPrincipal, blobs: readonly T[], signal: AbortSignal): Promise<T[]> {
    const named = uploadBackend(caller);
    const backend = await this.#pool.getNamed(caller.organization, named);
    const asked = blobs.filter((blob) => !isEmptyBlob(blob));
    const keyed = asked.map((blob) => ({ blob, key: blobKey(caller.space, blob.hex), sizeBytes: blob.sizeBytes }));
    const sizes = await backend.sizes(keyed, signal);
    const isThere = ({ key, sizeBytes }: (typeof keyed)[number]) =>
      sizes.get(key) === sizeBytes && !this.#suspects.has(caller.organization, named, key);
    const keeping = keepingOf(caller);
    const found = keyed.filter(isThere);
    const staying = new Set(keeping === undefined ? found : await whichStay(backend, found, keeping, signal));
    return keyed.filter((one) => !staying.has(one)).map(({ blob }) => blob);
  }

  /** Where the caller's upload of that blob goes. */
  async uploadPlace(caller: CasPrincipal, hex: string): Promise<Place> {
    const { organization, space } = caller;
    const named = uploadBackend(caller);
    return { organization, named, backend: await this.#pool.getNamed(organization, named), key: blobKey(space, hex) };
  }

  /** Reads what is there under a blob's hash with another size than the blob was named with. Throws BLOB_CORRUPT. */
  async #throwIfCorrupt(place: Place, hex: string, signal: AbortSignal): Promise<void> {
    const described = await place.backend.describe(place.key, signal);
    if (described === undefined) return;
    if (await this.#proofs.isBlob(place, { hex, sizeBytes: described.sizeBytes }, described, signal)) return;
    throw corruptBlob(hex, `another object of ${described.sizeBytes} bytes`, place.named.name);
  }

  async #first<T>(
    caller: CasPrincipal,
    hex: string,
    spaces: readonly CasSpace[],
    look: (backend: Backend, key: string, named: CasBackend) => Promise<T | undefined>,
  ): Promise<Found<T>> {
    const faults: unknown[] = [];
    for (const named of caller.backends) {
      try {
        const backend = await this.#pool.getNamed(caller.organization, named);
        for (const space of spaces) {
          const key = blobKey(space, hex);
          const value = await look(backend, key, named);
          if (value !== undefined) return { value, organization: caller.organization, named, backend, key };
        }
      } catch (error) {
        // Another backend may have it; that this one could not tell counts only if none has.
        faults.push(error);
      }
    }
    if (faults.length > 0) throw faults[0];
    throw new DomainError("BLOB_NOT_FOUND", `none of the caller's backends has ${digestOf(hex)}`, {
      metadata: { digest: digestOf(hex), backends: caller.backends.map(({ name }) => name).join(",") },
    });
  }
}

/** Those that stay where they are for as long as they are to be kept. */
async function whichStay<T extends { key: string }>(
  backend: Backend,
  found: readonly T[],
  keeping: Keeping,
  signal: AbortSignal,
): Promise<T[]> {
  const stays = await concurrently(found, keptAtATime, ({ key }) => staysThere(backend, key, keeping, signal));
  return found.filter((_one, i) => stays[i]);
}

async function staysThere(backend: Backend, key: string, keeping: Keeping, signal: AbortSignal): Promise<boolean> {
  if (keeping.renewAfterMs !== undefined) {
    const described = await backend.describe(key, signal);
    if (described === undefined || isStale(described.storedAt, keeping)) return false;
  }
  return backend.hold(key, keeping.atLeastMs, signal);
}

/** BLOB_CORRUPT: what a backend holds under a blob's key is not the blob. */
export function corruptBlob(hex: string, actual: string, backend: string): DomainError {
  const message = `what the backend ${backend} holds under ${digestOf(hex)} is ${actual}; upload the blob again to repair it`;
  return new DomainError("BLOB_CORRUPT", message, { metadata: { expected: digestOf(hex), actual, backend } });
}

/** The backend that the caller's uploads go to. Throws BACKEND_NOT_FOUND. */
export function uploadBackend({ backends: [first] }: CasPrincipal): CasBackend {
  if (first === undefined) throw new DomainError("BACKEND_NOT_FOUND", "the token names no backend");
  return first;
}

/** Both key spaces, the token's own first: the bytes are the same, whoever stored them. */
export function spacesOf({ space }: CasPrincipal): CasSpace[] {
  return space === "blobs" ? ["blobs", "bundles"] : ["bundles", "blobs"];
}

/** Where a caller may learn of a blob: a downloader wherever it could read it, others where they would write it. */
export function spacesDescribed(caller: CasPrincipal): CasSpace[] {
  return caller.role === "downloader" ? spacesOf(caller) : [caller.space];
}
