import { createHash, type Hash } from "node:crypto";
import { constants, type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import type { Transport } from "@connectrpc/connect";
import { hexOf } from "./call.ts";
import { type DownloadOptions, readBlob } from "./download.ts";
import { BlobError } from "./error.ts";

export interface DownloadToFileOptions extends Omit<DownloadOptions, "offset" | "limit"> {
  /** Where the blob appears, in the place of what is there, when all of it is proven and durable. */
  path: string;
  /** Called with the number of bytes that are in the file so far. */
  onProgress?: ((bytes: number) => void) | undefined;
}

const readBytes = 1024 * 1024;
/** What a file system takes for a name is 255 bytes. */
const longestNameBytes = 220;

/**
 * Downloads a blob to a file. What came before it broke off, or the process was killed, stays in a hidden partial file
 * beside the target; the next download of the same blob to the same target hashes it and goes on behind it. Throws as
 * `readBlob` does, and the faults of the file system.
 */
export async function downloadToFile(transport: Transport, options: DownloadToFileOptions): Promise<void> {
  const partial = partialPath(options.path, hexOf(options.digest));
  // No link is followed: the name can be foreseen.
  const flags = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0);
  const handle = await open(partial, flags, 0o666);
  try {
    const download = new FileDownload(transport, options, handle);
    await download.run();
    await handle.sync();
    await moveIntoPlace(handle, partial, options.path);
  } catch (error) {
    const worthKeeping = !isCorrupt(error) && (await handle.stat()).size > 0;
    if (!worthKeeping) await rm(partial, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

/** Where the bytes of a download wait until all are there: `.<name>.<12 hex digits of the digest>.part`. */
function partialPath(target: string, hex: string): string {
  const name = path.basename(target);
  const short =
    Buffer.byteLength(name) <= longestNameBytes ? name : createHash("sha256").update(name).digest("hex").slice(0, 32);
  return path.join(path.dirname(target), `.${short}.${hex.slice(0, 12)}.part`);
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

  async run(): Promise<void> {
    const kept = await this.#hashKept();
    try {
      await this.#complete(kept.hash, kept.size);
    } catch (error) {
      // A crash can leave holes in what was kept.
      if (!isCorrupt(error) || kept.size === 0) throw error;
      await this.#handle.truncate(0);
      await this.#complete(createHash("sha256"), 0);
    }
  }

  async #hashKept(): Promise<{ hash: Hash; size: number }> {
    const { sizeBytes } = this.#options;
    if ((await this.#handle.stat()).size > sizeBytes) await this.#handle.truncate(0);
    const hash = createHash("sha256");
    const buffer = Buffer.allocUnsafe(readBytes);
    let size = 0;
    for (;;) {
      this.#options.signal?.throwIfAborted();
      const { bytesRead } = await this.#handle.read(buffer, 0, Math.min(readBytes, sizeBytes - size), size);
      if (bytesRead === 0) return { hash, size };
      hash.update(buffer.subarray(0, bytesRead));
      size += bytesRead;
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

async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

async function moveIntoPlace(handle: FileHandle, partial: string, target: string): Promise<void> {
  try {
    await rename(partial, target);
  } catch (error) {
    // Another process that downloads the same blob to here has finished this very file.
    const there = await stat(target).catch(() => undefined);
    const own = await handle.stat();
    if (there?.ino !== own.ino || there.dev !== own.dev) throw error;
  }
  await using folder = await open(path.dirname(target), "r");
  await folder.sync();
}

function isCorrupt(error: unknown): boolean {
  return error instanceof BlobError && error.code === "BLOB_CORRUPT";
}
