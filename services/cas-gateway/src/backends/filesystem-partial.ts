import type { FileHandle } from "node:fs/promises";
import { throwFault } from "./filesystem-errors.ts";

/** Bytes, and pieces, that are gathered for one write to the disk. */
const batchBytes = 1024 * 1024;
const batchPieces = 64;
/** Bytes after which the disk begins to write while more come, so that little is left to wait for at the end. */
const syncEveryBytes = 32 * 1024 * 1024;
const touchesPerRetention = 4;
/** Far below what a timer can hold. */
const touchEveryMs = 3_600_000;

/** A partial file that is being written: at most two batches in memory, one of which is on its way to the disk. */
export class PartialFile {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #touching: NodeJS.Timeout;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;
  #writtenBytes = 0;
  #syncedBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #syncing: Promise<void> = Promise.resolve();

  /** @param uploadRetentionMs a file that nobody touched for that long is swept, so this one is touched before */
  constructor(path: string, file: FileHandle, uploadRetentionMs: number) {
    this.path = path;
    this.#file = file;
    this.#touching = setInterval(
      () => void this.#touch(),
      Math.min(uploadRetentionMs / touchesPerRetention, touchEveryMs),
    ).unref();
  }

  /** Bytes that are in the file. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Takes the chunk without a copy: its bytes must stay as they are. Throws faults of earlier chunks as well. */
  async append(chunk: Uint8Array): Promise<void> {
    if (chunk.byteLength === 0) return;
    this.#batch.push(chunk);
    this.#batchBytes += chunk.byteLength;
    if (this.#batchBytes < batchBytes && this.#batch.length < batchPieces) return;
    await this.#writing;
    this.#begin();
  }

  /** Resolves when all that was appended is in the file. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#batchBytes > 0) this.#begin();
    await this.#writing;
  }

  /** Resolves when all of it is durable. */
  async sync(): Promise<void> {
    await this.flush();
    // A fault of a disk is told once, to whoever asks first.
    await this.#syncing;
    await this.#file.sync().catch(throwFault);
  }

  /** Safe to call twice. */
  async close(): Promise<void> {
    clearInterval(this.#touching);
    await Promise.allSettled([this.#writing, this.#syncing]);
    await this.#file.close().catch(throwFault);
  }

  #begin(): void {
    const batch = this.#batch;
    this.#batch = [];
    this.#batchBytes = 0;
    this.#writing = this.#write(batch);
    // Whoever waits for it next gets its fault.
    this.#writing.catch(() => undefined);
  }

  async #write(batch: Uint8Array[]): Promise<void> {
    for (let rest = batch; rest.length > 0; ) {
      const { bytesWritten } = await this.#file.writev(rest).catch(throwFault);
      this.#writtenBytes += bytesWritten;
      rest = withoutFirst(rest, bytesWritten);
    }
    if (this.#writtenBytes - this.#syncedBytes < syncEveryBytes) return;
    this.#syncedBytes = this.#writtenBytes;
    const earlier = this.#syncing;
    this.#syncing = earlier.then(() => this.#file.datasync()).catch(throwFault);
    this.#syncing.catch(() => undefined);
  }

  async #touch(): Promise<void> {
    const now = new Date();
    // One that cannot be touched is written to all the same, and fails there if it must.
    await this.#file.utimes(now, now).catch(() => undefined);
  }
}

function withoutFirst(pieces: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes;
  return pieces.flatMap((piece) => {
    const skipped = Math.min(skip, piece.byteLength);
    skip -= skipped;
    return skipped === piece.byteLength ? [] : [piece.subarray(skipped)];
  });
}
