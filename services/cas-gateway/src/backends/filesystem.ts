import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rename, rm, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { BlobRef } from "../blobs/blob-ref.ts";
import { verified } from "../blobs/verified.ts";
import { type Backend, backendUnavailable, type OpenBlob, type Range, type StoredBlob } from "./backend.ts";
import { describeEach } from "./describe-each.ts";
import { absentOrFault, throwFault } from "./filesystem-errors.ts";
import { moveIntoPlace, orCreatingParent } from "./folders.ts";

/** Bytes of one read. */
const chunkBytes = 1024 * 1024;

/**
 * A folder on a local or network file system. A blob is written beside the others, synced, and renamed into place,
 * so that a reader, another process and a power cut see it whole or not at all.
 */
export class FilesystemBackend implements Backend {
  readonly #root: string;
  readonly #staging: string;

  /** @param root absolute path of the organization's folder; created with the first write */
  constructor(root: string) {
    this.#root = root;
    this.#staging = join(root, "staging");
  }

  async describe(key: string, signal: AbortSignal): Promise<StoredBlob | undefined> {
    signal.throwIfAborted();
    try {
      const found = await stat(join(this.#root, key));
      // A folder under a blob's key is no blob.
      return found.isFile() ? { sizeBytes: found.size, storedAt: found.mtime } : undefined;
    } catch (error) {
      return absentOrFault(error);
    }
  }

  sizes(keys: readonly string[], signal: AbortSignal): Promise<Map<string, number>> {
    return describeEach(this, keys, signal);
  }

  async read(key: string, range: Range, signal: AbortSignal): Promise<OpenBlob | undefined> {
    signal.throwIfAborted();
    try {
      const file = await open(join(this.#root, key), "r");
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
      return absentOrFault(error);
    }
  }

  async write(key: string, blob: BlobRef, source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    const staged = join(this.#staging, randomUUID());
    const file = await orCreatingParent(staged, () => open(staged, "wx", 0o600), signal).catch(throwFault);
    try {
      try {
        await copyInto(file, verified(source, blob), signal);
        await file.sync().catch(throwFault);
      } finally {
        await file.close().catch(throwFault);
      }
      signal.throwIfAborted();
      await moveIntoPlace(staged, join(this.#root, key), signal).catch(throwFault);
    } catch (error) {
      await rm(staged, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const path = join(this.#root, key);
    try {
      await unlink(path);
    } catch (error) {
      if (await isFolder(path)) return;
      absentOrFault(error);
    }
  }

  async setAside(key: string, blob: BlobRef, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const path = join(this.#root, key);
    const aside = join(this.#root, "corrupt", `${blob.hex}-${randomUUID()}`);
    try {
      await orCreatingParent(aside, () => rename(path, aside), signal);
      // A right write may have taken its place since it was read: what was moved is looked at once more.
      if ((await hashOfFile(aside)) !== blob.hex) return true;
      await rename(aside, path);
      return false;
    } catch (error) {
      absentOrFault(error);
      return false;
    }
  }

  close(): void {}
}

async function* readChunks(
  file: FileHandle,
  range: Range,
  size: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  const end = range.length === undefined ? size : Math.min(size, range.offset + range.length);
  for (let position = range.offset; position < end; ) {
    signal.throwIfAborted();
    const wanted = Math.min(chunkBytes, end - position);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(wanted), 0, wanted, position).catch(throwFault);
    if (bytesRead === 0) throw backendUnavailable("a file of the backend ended before its size", undefined);
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function copyInto(file: FileHandle, source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  for await (const chunk of source) {
    signal.throwIfAborted();
    for (let written = 0; written < chunk.byteLength; ) {
      const { bytesWritten } = await file.write(chunk, written).catch(throwFault);
      written += bytesWritten;
    }
  }
}

async function hashOfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** What unlink answers for a folder differs from system to system. */
async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
