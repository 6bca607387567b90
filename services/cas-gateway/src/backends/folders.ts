import { mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { codeOf } from "./error-code.ts";

/** Renames, and syncs the folder, without which a power cut may undo the rename. */
export async function moveIntoPlace(from: string, to: string, signal: AbortSignal): Promise<void> {
  await orCreatingParent(to, () => rename(from, to), signal);
  await syncFolder(dirname(to));
}

/** Folders are made when they turn out to be missing: a call that finds them pays nothing. */
export async function orCreatingParent<T>(path: string, act: () => Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    await createFolder(dirname(path), signal);
    return await act();
  }
}

/**
 * At most two tries for each folder of the path. A path may go on missing although its parent is there: below a link
 * to nothing, or in a file system that takes no folders. Then its ENOENT is thrown.
 */
async function createFolder(path: string, signal: AbortSignal): Promise<void> {
  try {
    await makeFolder(path, signal);
  } catch (error) {
    const parent = dirname(path);
    if (codeOf(error) !== "ENOENT" || parent === path) throw error;
    await createFolder(parent, signal);
    await makeFolder(path, signal);
  }
}

/** One that is there already is as good; the parent must be there. */
async function makeFolder(path: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) === "EEXIST") return;
    throw error;
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
