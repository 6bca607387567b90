import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import path from "node:path";
import type { Transport } from "@connectrpc/connect";
import { hexOf } from "./call.ts";
import { type DownloadOptions, readBlob } from "./download.ts";
import { BlobError } from "./error.ts";
import { type PartialFile, PartialFiles } from "./partial-files.ts";

export interface DownloadToFileOptions extends Omit<DownloadOptions, "offset" | "limit"> {
  /** Where the blob appears, in the place of what is there, when all of it is proven and durable. */
  path: string;
  /** Called with the number of bytes that are in the file so far. */
  onProgress?: ((bytes: number) => void) | undefined;
}

const readBytes = 1024 * 1024;

/**
 * Downloads a blob to a file. What came before it broke off, or the process was killed, stays in a hidden partial file
 * beside the target; the next download of the same blob to the same target copies and hashes it, and goes on behind
 * it. Downloads to one target at a time do not disturb each other. Throws as `readBlob` does, and the faults of the
 * file system.
 */
export async function downloadToFile(transport: Transport, options: DownloadToFileOptions): Promise<void> {
  const partials = new PartialFiles(options.path, hexOf(options.digest), options.sizeBytes);
  const own = await partials.create();
  try {
    await new FileDownload(transport, options, own.handle).run(partials);
    await own.handle.sync();
    await moveIntoPlace(own, partials, options);
    await partials.removeOthers(own);
  } catch (error) {
    if (isCorrupt(error)) await rm(own.path, { force: true });
    else await partials.keepFurthest(own);
    throw error;
  } finally {
    await own.handle.close();
  }
}

class FileDownload {
  readonly #transport: Transport;
  readonly #options: DownloadToFileOptions;
  readonly #handle: FileHandle;

  constructor(transport: Transport, options: DownloadToFileOptions, handle: FileHandle) {
    this.#transport = transport;
    this.#options = options;
    this.#handle = handle;
  }

  async run(partials: PartialFiles): Promise<void> {
    const hash = createHash("sha256");
    const kept = await partials.openFurthest();
    if (kept === undefined) return this.#complete(hash, 0);
    let size = 0;
    try {
      const { sizeBytes, signal } = this.#options;
      size = await copyBytes(kept.handle, this.#handle, { sizeBytes, signal, hash });
    } finally {
      await kept.handle.close();
    }
    try {
      await this.#complete(hash, size);
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      // A crash can leave holes in what was kept.
      await rm(kept.path, { force: true });
      await this.#handle.truncate(0);
      await this.#complete(createHash("sha256"), 0);
    }
  }

  async #complete(hash: Hash, from: number): Promise<void> {
    const { digest, sizeBytes, onProgress } = this.#options;
    let position = from;
    onProgress?.(position);
    if (position < sizeBytes || sizeBytes === 0) {
      for await (const chunk of readBlob(this.#transport, { ...this.#options, offset: from })) {
        hash.update(chunk);
        await writeFully(this.#handle, chunk, position);
        position += chunk.byteLength;
        onProgress?.(position);
      }
    }
    const actual = `sha256:${hash.digest("hex")}`;
    if (actual !== digest) throw new BlobError("BLOB_CORRUPT", `expected the digest ${digest}, got ${actual}`);
  }
}

/** Copies what there is, of `sizeBytes` at most, and resolves with its size. Throws what the signal was aborted with. */
async function copyBytes(
  from: FileHandle,
  to: FileHandle,
  { sizeBytes, signal, hash }: { sizeBytes: number; signal: AbortSignal | undefined; hash?: Hash },
): Promise<number> {
  const buffer = Buffer.allocUnsafe(readBytes);
  for (let size = 0; ; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await from.read(buffer, 0, Math.min(readBytes, sizeBytes - size), size);
    if (bytesRead === 0) return size;
    const bytes = buffer.subarray(0, bytesRead);
    hash?.update(bytes);
    await writeFully(to, bytes, size);
    size += bytesRead;
  }
}

async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

async function moveIntoPlace(
  own: PartialFile,
  partials: PartialFiles,
  { path: target, sizeBytes, signal }: DownloadToFileOptions,
): Promise<void> {
  try {
    await rename(own.path, target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    // Another download to here has finished, or got further, and removed this file: its bytes are still to be had.
    const copy = await partials.create();
    try {
      await copyBytes(own.handle, copy.handle, { sizeBytes, signal });
      await copy.handle.sync();
      await rename(copy.path, target);
    } finally {
      await copy.handle.close();
    }
  }
  await using folder = await open(path.dirname(target), "r");
  await folder.sync();
}

function isCorrupt(error: unknown): boolean {
  return error instanceof BlobError && error.code === "BLOB_CORRUPT";
}
