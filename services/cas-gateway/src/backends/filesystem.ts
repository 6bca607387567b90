import { randomUUID } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { open, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { BlobQuery, BlobRef } from "../blobs/blob-ref.ts";
import { concurrently } from "../blobs/concurrently.ts";
import type { Expiry } from "../retention/expiry.ts";
import type {
  Backend,
  KeyedBlob,
  ListedBlob,
  OpenBlob,
  Range,
  StoredBlob,
  WriteOptions,
  WriteOutcome,
} from "./backend.ts";
import { absentOrFault, throwFault } from "./filesystem-errors.ts";
import { FilesystemExpiry } from "./filesystem-expiry.ts";
import { listFiles } from "./filesystem-list.ts";
import { FileNames } from "./filesystem-names.ts";
import { hashOfFile, readChunks } from "./filesystem-read.ts";
import { Uploads } from "./filesystem-uploads.ts";
import { type Place, writeFile } from "./filesystem-write.ts";
import { Folders } from "./folders.ts";

/** Twice the threads of the process that ask file systems: more of one call would only make all others wait for their turn. */
const lookupsAtATime = 8;

export interface FilesystemOptions {
  /** Absolute path of the organization's folder; created with the first write. */
  root: string;
  /** How long after its last byte an upload may be swept, in milliseconds: one that is under way is kept from that. */
  uploadRetentionMs: number;
}

/**
 * A folder on a local or network file system. A blob is written beside the others, synced, and renamed into place,
 * so that a reader, another process and a power cut see it whole or not at all. Each write has a file of its own: one that
 * goes on with an upload copies what is kept of it, and hashes it with the rest.
 */
export class FilesystemBackend implements Backend {
  readonly notes: readonly string[] = [];
  readonly #place: Place;
  readonly #expiry: FilesystemExpiry;

  constructor({ root, uploadRetentionMs }: FilesystemOptions) {
    const uploads = new Uploads(join(root, "uploads"));
    const folders = new Folders(root);
    const names = new FileNames({ root, folders });
    this.#place = { root, folders, uploads, names, uploadRetentionMs };
    this.#expiry = new FilesystemExpiry(this.#place);
  }

  async describe(key: string, signal: AbortSignal): Promise<StoredBlob | undefined> {
    signal.throwIfAborted();
    try {
      const found = await stat(this.#pathOf(key));
      this.#place.folders.noteSeen();
      // A folder under a blob's key is no blob.
      return found.isFile() ? { sizeBytes: found.size, storedAt: found.mtime } : undefined;
    } catch (error) {
      return await this.#absentOrFault(error);
    }
  }

  async sizes(blobs: readonly KeyedBlob[], signal: AbortSignal): Promise<Map<string, number>> {
    const sizes = new Map<string, number>();
    await concurrently(blobs, lookupsAtATime, async ({ key }) => {
      const found = await this.describe(key, signal);
      if (found !== undefined) sizes.set(key, found.sizeBytes);
    });
    return sizes;
  }

  async fileName(key: string, signal: AbortSignal): Promise<string | undefined> {
    return (await this.describe(key, signal)) && this.#place.names.of(key);
  }

  async read(key: string, range: Range, signal: AbortSignal): Promise<OpenBlob | undefined> {
    signal.throwIfAborted();
    try {
      const file = await open(this.#pathOf(key), "r");
      this.#place.folders.noteSeen();
      try {
        const found = await file.stat();
        if (!found.isFile()) {
          await file.close();
          return undefined;
        }
        const { size } = found;
        return { sizeBytes: size, chunks: readChunks(file, range, size, signal), close: () => file.close() };
      } catch (error) {
        await file.close();
        throw error;
      }
    } catch (error) {
      return await this.#absentOrFault(error);
    }
  }

  write(key: string, blob: BlobQuery, source: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<WriteOutcome> {
    return writeFile(this.#place, key, blob, source, options);
  }

  async committed(key: string, blob: BlobRef, uploadId: string, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    try {
      const [longest] = await this.#place.uploads.of(key, blob, uploadId);
      if (longest === undefined) await this.#place.folders.throwIfGone();
      return longest?.sizeBytes ?? 0;
    } catch (error) {
      throwFault(error);
    }
  }

  /** There is nothing here that could refuse. */
  async hold(): Promise<boolean> {
    return true;
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const path = this.#pathOf(key);
    try {
      await unlink(path);
    } catch (error) {
      if (await isFolder(path)) return;
      await this.#absentOrFault(error);
    }
    await this.#place.names.remove(key);
  }

  async expiry(): Promise<Expiry> {
    return this.#expiry;
  }

  async setAside(key: string, blob: BlobRef, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const path = this.#pathOf(key);
    const aside = this.#pathOf(`corrupt/${blob.hex}-${randomUUID()}`);
    try {
      // Looked at before it is moved: a crash must not leave the right blob out of sight.
      const { hex, file } = await hashOfFile(path, signal);
      if (hex === blob.hex) return false;
      await this.#place.folders.orCreatingParent(aside, () => rename(path, aside), signal);
      if (isSameFile(file, await stat(aside, { bigint: true }))) return true;
      // A right write took its place meanwhile: it goes back at once, whatever the signal says.
      await rename(aside, path);
      return false;
    } catch (error) {
      await this.#absentOrFault(error);
      return false;
    }
  }

  async *list(folder: string, after: string, signal: AbortSignal): AsyncGenerator<ListedBlob, void, void> {
    signal.throwIfAborted();
    await this.#place.folders.throwIfGone().catch(throwFault);
    yield* listFiles(this.#place.root, folder, after, signal);
  }

  async sweep(before: Date, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    return this.#place.uploads.sweep(before, signal).catch(throwFault);
  }

  close(): void {}

  #pathOf(key: string): string {
    return join(this.#place.root, key);
  }

  async #absentOrFault(error: unknown): Promise<undefined> {
    absentOrFault(error);
    await this.#place.folders.throwIfGone().catch(throwFault);
  }
}

function isSameFile(one: BigIntStats, other: BigIntStats): boolean {
  return one.dev === other.dev && one.ino === other.ino && one.mtimeNs === other.mtimeNs && one.size === other.size;
}

/** What unlink answers for a folder differs from system to system. */
async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
