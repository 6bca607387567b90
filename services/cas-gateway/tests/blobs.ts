import { createHash, randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";

export interface TestBlob {
  bytes: Buffer;
  hex: string;
  digest: string;
  sizeBytes: number;
}

export function blobOf(bytes: Buffer): TestBlob {
  const hex = createHash("sha256").update(bytes).digest("hex");
  return { bytes, hex, digest: `sha256:${hex}`, sizeBytes: bytes.byteLength };
}

export function randomBlob(sizeBytes: number): TestBlob {
  return blobOf(randomBytes(sizeBytes));
}

/** Every file below a folder, relative to it. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

export async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, void> {
  for (let start = 0; start < bytes.byteLength; start += size) yield bytes.subarray(start, start + size);
}
