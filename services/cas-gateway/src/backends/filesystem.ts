import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DomainError } from "@attestry/service-kit";
import type { BlobRef } from "../blobs/blob-ref.ts";
import { verified } from "../blobs/verified.ts";
import {
  type Backend,
  backendFull,
  backendUnavailable,
  type OpenBlob,
  type Range,
  type StoredBlob,
} from "./backend.ts";
import { describeEach } from "./describe-each.ts";
import { codeOf } from "./error-code.ts";

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
      const { size, mtime } = await stat(join(this.#root, key));
      return { sizeBytes: size, storedAt: mtime };
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
        const { size } = await file.stat();
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
    const file = await orCreatingParent(staged, () => open(staged, "wx", 0o600)).catch(throwFault);
    try {
      try {
        await copyInto(file, verified(source, blob), signal);
        await file.sync().catch(throwFault);
      } finally {
        await file.close().catch(throwFault);
      }
      signal.throwIfAborted();
      await moveIntoPlace(staged, join(this.#root, key)).catch(throwFault);
    } catch (error) {
      await rm(staged, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    try {
      await unlink(join(this.#root, key));
    } catch (error) {
      absentOrFault(error);
    }
  }

  async setAside(key: string, blob: BlobRef, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const path = join(this.#root, key);
    const aside = join(this.#root, "corrupt", `${blob.hex}-${randomUUID()}`);
    try {
      await orCreatingParent(aside, () => rename(path, aside));
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

/** Renames, and syncs the folder, without which a power cut may undo the rename. */
async function moveIntoPlace(from: string, to: string): Promise<void> {
  await orCreatingParent(to, () => rename(from, to));
  await syncFolder(dirname(to));
}

/** Folders are made when they turn out to be missing: a call that finds them pays nothing. */
async function orCreatingParent<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    await createFolder(dirname(path));
    return await act();
  }
}

async function createFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) === "EEXIST") return;
    if (codeOf(error) !== "ENOENT") throw error;
    await createFolder(dirname(path));
    return createFolder(path);
  }
  await syncFolder(dirname(path));
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function hashOfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

function absentOrFault(error: unknown): undefined {
  if (codeOf(error) === "ENOENT") return undefined;
  throwFault(error);
}

/** Node's own messages hold the path, so only the code is passed on. */
function throwFault(error: unknown): never {
  const code = codeOf(error);
  if (error instanceof DomainError || code === undefined) throw error;
  if (code === "ENOSPC" || code === "EDQUOT") throw backendFull(error);
  throw backendUnavailable(`the backend's folder answered ${code}`, error);
}
