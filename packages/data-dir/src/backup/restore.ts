import { constants } from "node:fs";
import { chmod, lstat, mkdir, open, readdir, realpath, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { restoredName } from "../data-dir.ts";
import { eachAtOnce } from "./at-once.ts";
import { type Content, copyFile } from "./copy-file.ts";
import { contentOfFile, readEntries } from "./entry-list.ts";
import { BackupFailure, reading, writing } from "./failure.ts";
import { dataName, listName, type Manifest, manifestName, maxManifestBytes, parseManifest } from "./manifest.ts";
import { moveStores } from "./stores.ts";
import { walk } from "./walk.ts";
import { leftBeside, makeWholeFolder, parentOf } from "./whole-folder.ts";

const filesAtOnce = 4;

export interface RestoreOptions {
  backup: string;
  /** The data directory to make; an empty folder may be there. */
  dataDir: string;
  signal: AbortSignal;
  /** Before the first byte: how many there are in all. */
  onTotal: (bytes: number) => void;
  onBytes: (bytes: number) => void;
}

export interface Restored extends Manifest {
  /** Absolute. */
  dataDir: string;
  /** References of secrets whose stores the backup has, and which lead to the new place now. */
  moved: string[];
  /** Of those whose stores it does not have: the server that was backed up may use them still. */
  elsewhere: string[];
  /** What restores that were killed left beside the data directory; they may also be those of one that is at work. */
  leftovers: string[];
}

/**
 * Makes a data directory of a backup, each byte of which is checked. The folder gets its name when all is on disk and
 * was right. A server that is started on it deletes nothing until it is told that it may. Throws BackupFailure and the signal's reason.
 */
export async function restore(options: RestoreOptions): Promise<Restored> {
  try {
    return await restoreWhole(options);
  } catch (error) {
    if (!(error instanceof BackupFailure) || error.code !== "BACKUP_MALFORMED") throw error;
    throw new BackupFailure(error.code, `${error.message}; nothing was restored`, { cause: error });
  }
}

async function restoreWhole(options: RestoreOptions): Promise<Restored> {
  const { signal } = options;
  const backup = await reading(options.backup, realpath(options.backup));
  const dataDir = await checkedTarget(backup, options.dataDir);
  const manifest = await readManifest(backup);
  const leftovers = await leftBeside(dataDir);
  options.onTotal(manifest.bytes);
  const stores = await makeWholeFolder(dataDir, signal, async (folder) => {
    await fill(folder, backup, manifest, options);
    const mark = path.join(folder, restoredName);
    const text = `of the backup of ${manifest.createdAt}\n`;
    await writing(mark, writeFile(mark, text, { mode: 0o600, flush: true }));
    return moveStores(path.join(folder, "secrets"), manifest.dataDirs, dataDir);
  });
  return { ...manifest, dataDir, ...stores, leftovers };
}

async function checkedTarget(backup: string, given: string): Promise<string> {
  const resolved = path.resolve(given);
  const parent = await parentOf(resolved);
  const dataDir = path.join(parent, path.basename(resolved));
  if (`${dataDir}${path.sep}`.startsWith(`${backup}${path.sep}`)) {
    throw new BackupFailure("TARGET_MISPLACED", `a data directory cannot be made inside its backup: ${dataDir}`);
  }
  const there = await lstat(dataDir).catch(() => undefined);
  if (there === undefined) return dataDir;
  if (!there.isDirectory()) throw new BackupFailure("TARGET_EXISTS", `${dataDir} is there already, and no folder`);
  const [first] = await reading(dataDir, readdir(dataDir));
  if (first !== undefined) {
    throw new BackupFailure(
      "TARGET_EXISTS",
      `${dataDir} is not empty: it has ${first}; only a new folder is restored to`,
    );
  }
  // What is made beside it could not take its place.
  if (there.dev !== (await stat(parent)).dev) {
    throw new BackupFailure("TARGET_MISPLACED", `${dataDir} is a mount point: restore to a new folder below it`);
  }
  return dataDir;
}

/** Reads the manifest, and sees that the three parts of a backup are there, and nothing but files and folders. */
async function readManifest(backup: string): Promise<Manifest> {
  const file = path.join(backup, manifestName);
  const text = await readStart(file).catch((cause: unknown) => {
    if (!isMissing(cause)) throw cause;
    throw new BackupFailure("BACKUP_MALFORMED", `${backup} is no backup of Attestry: it has no ${manifestName}`);
  });
  const manifest = parseManifest(text);
  const refuse = (at: string, what: string) =>
    new BackupFailure("BACKUP_MALFORMED", `${path.join(backup, at)} is ${what}; a backup has files and folders only`);
  for await (const { path: at } of walk(backup, { refuse })) {
    const known = [dataName, listName, manifestName].includes(at) || at.startsWith(`${dataName}/`);
    if (!known) throw unlisted(path.join(backup, at));
  }
  const list = path.join(backup, listName);
  expectContent(list, manifest.list, await contentOfFile(list).catch(orMissing(list, manifest.list)));
  return manifest;
}

/** A manifest has much less than is read of it. */
async function readStart(file: string): Promise<string> {
  const handle = await reading(file, open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK));
  try {
    const { buffer, bytesRead } = await reading(file, handle.read({ buffer: Buffer.alloc(maxManifestBytes) }));
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function fill(folder: string, backup: string, manifest: Manifest, options: RestoreOptions): Promise<void> {
  const { signal, onBytes } = options;
  const data = path.join(backup, dataName);
  const counts = { files: 0, folders: 0, bytes: 0 };
  await eachAtOnce(listedFiles(folder, path.join(backup, listName), counts), filesAtOnce, async (entry) => {
    const [from, to] = [path.join(data, entry.path), path.join(folder, entry.path)];
    const copy = { mode: Number.parseInt(entry.mode, 8), modifiedMs: entry.modifiedMs, signal, onBytes };
    const copied = await inPlace(entry.path, copyFile(from, to, copy)).catch(orMissing(from, entry));
    expectContent(from, entry, copied);
  });
  for (const name of ["files", "folders", "bytes"] as const) {
    if (counts[name] === manifest[name]) continue;
    const message = `the backup's ${listName} has ${counts[name]} ${name}, its ${manifestName} says ${manifest[name]}`;
    throw new BackupFailure("BACKUP_MALFORMED", message);
  }
  const refuse = (at: string, what: string) => new BackupFailure("BACKUP_MALFORMED", `${at} is ${what}`);
  for await (const { path: at } of walk(data, { refuse })) {
    await lstat(path.join(folder, at)).catch(() => {
      throw unlisted(path.join(data, at));
    });
  }
}

/** Makes the folders of the list on the way, and gives its files. */
async function* listedFiles(folder: string, list: string, counts: { files: number; folders: number; bytes: number }) {
  for await (const entry of readEntries(list)) {
    if (entry.kind === "file") {
      counts.files++;
      counts.bytes += entry.size;
      yield entry;
      continue;
    }
    counts.folders++;
    const made = path.join(folder, entry.path);
    await inPlace(entry.path, writing(made, mkdir(made, { mode: 0o700 })));
    await writing(made, chmod(made, Number.parseInt(entry.mode, 8)));
  }
}

/** What is made in an empty folder finds its place taken, or none, only if the list is wrong. */
function inPlace<T>(at: string, work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    const fault = error instanceof BackupFailure && error.code === "FILE_UNWRITABLE" ? faultOf(error) : undefined;
    if (fault === "EEXIST") throw new BackupFailure("BACKUP_MALFORMED", `the backup's ${listName} has ${at} twice`);
    if (fault !== "ENOENT" && fault !== "ENOTDIR") throw error;
    throw new BackupFailure("BACKUP_MALFORMED", `the backup's ${listName} has ${at} without its folder`);
  });
}

function orMissing(file: string, expected: Content): (error: unknown) => never {
  return (error) => {
    if (!isMissing(error)) throw error;
    const message = `${file} is missing: expected ${contentText(expected)}; nothing was restored`;
    throw new BackupFailure("BACKUP_CORRUPT", message, { cause: error });
  };
}

function expectContent(file: string, expected: Content, actual: Content): void {
  if (actual.size === expected.size && actual.digest === expected.digest) return;
  const message = `${file} is damaged: expected ${contentText(expected)}, came ${contentText(actual)}; nothing was restored`;
  throw new BackupFailure("BACKUP_CORRUPT", message);
}

function contentText({ size, digest }: Content): string {
  return `${size} bytes with ${digest}`;
}

function unlisted(file: string): BackupFailure {
  return new BackupFailure("BACKUP_MALFORMED", `${file} is not of this backup: its ${listName} does not have it`);
}

function isMissing(error: unknown): boolean {
  return error instanceof BackupFailure && error.code === "FILE_UNREADABLE" && faultOf(error) === "ENOENT";
}

function faultOf({ cause }: BackupFailure): string | undefined {
  return (cause as NodeJS.ErrnoException | undefined)?.code;
}
