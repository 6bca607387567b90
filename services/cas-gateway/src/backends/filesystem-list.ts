import type { Dirent, Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ListedBlob } from "./backend.ts";
import { absentOrFault } from "./filesystem-errors.ts";

const statsAtATime = 32;

/**
 * The files below a folder of the root, in the order of their keys, which are their paths relative to it. Folder by folder:
 * the names of one are in memory at a time, for each level, and a folder whose keys all come before is not opened.
 */
export async function* listFiles(
  root: string,
  folder: string,
  after: string,
  signal: AbortSignal,
): AsyncGenerator<ListedBlob, void, void> {
  const keys = await keysIn(root, folder, after);
  for (let start = 0; start < keys.length; start += statsAtATime) {
    const some = keys.slice(start, start + statsAtATime);
    const found = await Promise.all(some.map((key) => statOf(root, key)));
    for (const [i, key] of some.entries()) {
      signal.throwIfAborted();
      if (isFolder(key)) yield* listFiles(root, key, after, signal);
      const file = found[i];
      // One that is gone meanwhile is left out.
      if (file !== undefined) yield { key, sizeBytes: file.size, storedAt: file.mtime };
    }
  }
}

/** A folder's own ends with a slash: so they sort as the keys below it do. */
async function keysIn(root: string, folder: string, after: string): Promise<string[]> {
  const entries = (await readdir(join(root, folder), { withFileTypes: true }).catch(absentOrFault)) ?? [];
  return entries
    .filter((entry) => entry.isFile() || entry.isDirectory())
    .map((entry) => keyOf(folder, entry))
    .filter((key) => key > after || (isFolder(key) && after.startsWith(key)))
    .sort(byCodeUnits);
}

function keyOf(folder: string, entry: Dirent): string {
  return `${folder}${entry.name}${entry.isDirectory() ? "/" : ""}`;
}

function isFolder(key: string): boolean {
  return key.endsWith("/");
}

async function statOf(root: string, key: string): Promise<Stats | undefined> {
  if (isFolder(key)) return undefined;
  return stat(join(root, key)).catch(absentOrFault);
}

function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : 1;
}
