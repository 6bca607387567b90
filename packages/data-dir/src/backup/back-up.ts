import { lstat, mkdir, realpath, writeFile } from "node:fs/promises";
import path from "node:path";
import { type DataDir, openExistingDataDir } from "../data-dir.ts";
import { eachAtOnce } from "./at-once.ts";
import { copyFile } from "./copy-file.ts";
import { EntryListWriter } from "./entry-list.ts";
import { BackupFailure, reading, writing } from "./failure.ts";
import { dataName, isPlainPath, listName, type Manifest, manifestName, manifestText } from "./manifest.ts";
import { expectStopped } from "./stopped.ts";
import { pathsOf, storesElsewhere } from "./stores.ts";
import { type Entry, walk } from "./walk.ts";
import { leftBeside, makeWholeFolder, parentOf } from "./whole-folder.ts";

const filesAtOnce = 4;

export interface BackupOptions {
  dataDir: string;
  /** The folder to make. */
  target: string;
  attestryVersion: string;
  signal: AbortSignal;
  /** Before the first byte: how many there are in all. */
  onTotal: (bytes: number) => void;
  onBytes: (bytes: number) => void;
}

export interface Backup extends Manifest {
  /** Absolute. */
  target: string;
  /** References of secrets whose stores are not in the data directory, so not in the backup. */
  elsewhere: string[];
  /** What backups that were killed left beside the target; they may also be those of one that is at work. */
  leftovers: string[];
}

/**
 * Copies the data directory of a standalone server that is stopped. The folder gets its name when all is on disk.
 * Throws BackupFailure, StartFailure for a data directory that cannot be used, and the signal's reason.
 */
export async function backUp(options: BackupOptions): Promise<Backup> {
  const { signal } = options;
  const dataDir = await openExistingDataDir(options.dataDir);
  try {
    const target = await checkedTarget(dataDir.path, options.target);
    await expectStopped(path.join(dataDir.postgresDir, "cluster"), signal);
    const leftovers = await leftBeside(target);
    options.onTotal(await totalBytes(dataDir.path, signal));
    const dataDirs = await pathsOf(dataDir);
    const elsewhere = await storesElsewhere(dataDir.secretsDir, dataDirs);
    const manifest = await makeWholeFolder(target, signal, (folder) => fill(folder, dataDir, dataDirs, options));
    return { ...manifest, target, elsewhere, leftovers };
  } finally {
    await dataDir.release();
  }
}

async function checkedTarget(dataDir: string, given: string): Promise<string> {
  const resolved = path.resolve(given);
  // A link may lead into the data directory.
  const parent = await parentOf(resolved);
  const target = path.join(parent, path.basename(resolved));
  const below = path.relative(await reading(dataDir, realpath(dataDir)), target);
  if (below === "" || !(below.startsWith(`..${path.sep}`) || path.isAbsolute(below))) {
    throw new BackupFailure("TARGET_MISPLACED", `a backup cannot be made inside its data directory: ${target}`);
  }
  const there = await lstat(target).catch(() => undefined);
  if (there !== undefined) throw new BackupFailure("TARGET_EXISTS", `${target} is there already; give a new name`);
  return target;
}

async function fill(folder: string, dataDir: DataDir, dataDirs: string[], options: BackupOptions): Promise<Manifest> {
  const createdAt = new Date().toISOString();
  const data = path.join(folder, dataName);
  await writing(data, mkdir(data, { mode: 0o700 }));
  const list = new EntryListWriter(path.join(folder, listName));
  try {
    const files = madeFolders(entriesOf(dataDir.path, options.signal), data, list);
    await eachAtOnce(files, filesAtOnce, async ({ path: at, mode, modifiedMs }) => {
      const { signal, onBytes } = options;
      const copy = { mode: 0o600, modifiedMs, signal, onBytes };
      const content = await copyFile(path.join(dataDir.path, at), path.join(data, at), copy);
      await list.add({ kind: "file", path: at, mode: modeText(mode), modifiedMs, ...content });
    });
    const manifest = { attestryVersion: options.attestryVersion, createdAt, ...(await list.finish()), dataDirs };
    const file = path.join(folder, manifestName);
    await writing(file, writeFile(file, manifestText(manifest), { mode: 0o600, flush: true }));
    return manifest;
  } finally {
    list.destroy();
  }
}

/** Makes and lists the folders on the way, and gives the files. */
async function* madeFolders(entries: AsyncIterable<Entry>, data: string, list: EntryListWriter) {
  for await (const entry of entries) {
    if (entry.kind === "file") {
      yield entry;
      continue;
    }
    const folder = path.join(data, entry.path);
    await writing(folder, mkdir(folder, { mode: 0o700 }));
    await list.add({ kind: "folder", path: entry.path, mode: modeText(entry.mode | 0o700) });
  }
}

function modeText(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

async function totalBytes(dir: string, signal: AbortSignal): Promise<number> {
  let total = 0;
  for await (const { size } of entriesOf(dir, signal)) total += size;
  return total;
}

async function* entriesOf(dir: string, signal: AbortSignal): AsyncGenerator<Entry, void, void> {
  const refuse = (at: string, what: string) =>
    new BackupFailure("BACKUP_UNSUPPORTED", `${path.join(dir, at)} is ${what}; a backup has files and folders only`);
  for await (const entry of walk(dir, { leaveOut, refuse })) {
    signal.throwIfAborted();
    if (!isPlainPath(entry.path)) throw refuse(entry.path, "named in a way that no backup can have");
    yield entry;
  }
}

/** What belongs to a running server and not to the data, and the mark that each restore makes anew. */
function leaveOut(at: string): boolean {
  return /^(lock(\..*)?|restored|lost\+found|postgres\/(postgres\.log(\.1)?|cluster\.unfinished|cluster\/postmaster\.(pid|opts)))$/.test(
    at,
  );
}
