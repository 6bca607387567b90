import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { unreadable } from "./file-errors.ts";

const readBytes = 1024 * 1024;

export interface DescribedFile {
  /** `sha256:<hex>`. */
  digest: string;
  sizeBytes: number;
}

/**
 * Reads a regular file once for its digest and size. Throws CommandError FILE_UNREADABLE, and what `goOn` throws, which
 * is called again and again.
 */
export async function describeFile(file: string, goOn: () => void): Promise<DescribedFile> {
  try {
    const stats = await stat(file);
    if (stats.isDirectory()) throw Object.assign(new Error(`${file} is a folder`), { code: "EISDIR" });
    if (!stats.isFile()) throw Object.assign(new Error(`${file} is no regular file`), { code: "no regular file" });
    const hash = createHash("sha256");
    let sizeBytes = 0;
    for await (const chunk of createReadStream(file, { highWaterMark: readBytes }) as AsyncIterable<Buffer>) {
      goOn();
      hash.update(chunk);
      sizeBytes += chunk.byteLength;
    }
    return { digest: `sha256:${hash.digest("hex")}`, sizeBytes };
  } catch (cause) {
    goOn();
    throw unreadable(file, cause);
  }
}
