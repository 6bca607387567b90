import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, realpath, rename, rm } from "node:fs/promises";
import path from "node:path";
import { BackupFailure, writing } from "./failure.ts";

const mark = ".partial-";

/**
 * Has `make` fill a folder that gets its name only when it is whole and on disk. If that fails nothing of it stays; a
 * process that is killed leaves a folder `<target>.partial-<random>`, which nobody takes for the whole.
 */
export async function makeWholeFolder<T>(
  target: string,
  signal: AbortSignal,
  make: (folder: string) => Promise<T>,
): Promise<T> {
  const partial = `${target}${mark}${randomBytes(6).toString("hex")}`;
  await writing(partial, mkdir(partial, { mode: 0o700 }));
  try {
    const made = await make(partial);
    await syncFolders(partial);
    signal.throwIfAborted();
    await writing(target, rename(partial, target));
    await syncFolder(path.dirname(target));
    return made;
  } catch (error) {
    await remove(partial, error);
    throw error;
  }
}

/** Of something that is to be made: the folder that has to be there, without links. */
export async function parentOf(target: string): Promise<string> {
  const parent = path.dirname(target);
  try {
    return await realpath(parent);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") return writing(target, Promise.reject(cause as Error));
    const message = `cannot make ${target}: there is no folder ${parent}; make it first`;
    throw new BackupFailure("FILE_UNWRITABLE", message, { cause });
  }
}

/** Folders beside the target that a killed process left. They may also be those of one that is at work. */
export async function leftBeside(target: string): Promise<string[]> {
  const folder = path.dirname(target);
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.startsWith(path.basename(target) + mark)).map((name) => path.join(folder, name));
}

async function remove(partial: string, cause: unknown): Promise<void> {
  await rm(partial, { recursive: true, force: true }).catch(() => {
    const message = `${(cause as Error).message}; remove ${partial}, which could not be removed after that`;
    throw new BackupFailure("FILE_UNWRITABLE", message, { cause });
  });
}

/** A file is found after a crash of the machine only if its folder is on disk as well. */
async function syncFolders(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await syncFolders(path.join(folder, entry.name));
  }
  await syncFolder(folder);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await writing(folder, open(folder, "r"));
  try {
    await writing(folder, handle.sync());
  } finally {
    await handle.close();
  }
}
