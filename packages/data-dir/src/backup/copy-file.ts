import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { BackupFailure, reading, writing } from "./failure.ts";

const chunkBytes = 1024 * 1024;

export interface CopyOptions {
  /** Of the new file: permission bits. */
  mode: number;
  modifiedMs: number;
  signal: AbortSignal;
  onBytes: (bytes: number) => void;
}

/** What was copied. */
export interface Content {
  /** In bytes. */
  size: number;
  /** `sha256:<hex>`. */
  digest: string;
}

/**
 * Copies a regular file to a place where there is none, and returns when it is on disk. Holds 1 MiB of it at a time.
 * Throws BackupFailure FILE_UNREADABLE and FILE_UNWRITABLE.
 */
export async function copyFile(from: string, to: string, options: CopyOptions): Promise<Content> {
  // A fifo that came in the place of the file must not hold the copy up for ever.
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const source = await reading(from, open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  try {
    const stats = await reading(from, source.stat());
    if (!stats.isFile()) throw new BackupFailure("FILE_UNREADABLE", `cannot read ${from}: it is no regular file`);
    const target = await writing(to, open(to, "wx", 0o600));
    try {
      const hash = createHash("sha256");
      const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, stats.size + 1));
      let size = 0;
      for (;;) {
        options.signal.throwIfAborted();
        const { bytesRead } = await reading(from, source.read(buffer, 0, buffer.byteLength, size));
        if (bytesRead === 0) break;
        const chunk = buffer.subarray(0, bytesRead);
        hash.update(chunk);
        await writing(to, target.writeFile(chunk));
        size += bytesRead;
        options.onBytes(bytesRead);
      }
      const modified = options.modifiedMs / 1000;
      await writing(to, target.utimes(modified, modified));
      await writing(to, target.chmod(options.mode));
      await writing(to, target.sync());
      return { size, digest: `sha256:${hash.digest("hex")}` };
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}
