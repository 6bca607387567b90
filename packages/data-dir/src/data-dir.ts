import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { takeLock } from "./lock-file.ts";
import { StartFailure } from "./start-failure.ts";

/** Of the layout below; raised when an older server could not use what a newer one wrote. */
const dataVersion = 1;

/** Of the mark that `restore` leaves in the folder. */
export const restoredName = "restored";

/** Everything that a standalone server keeps, under one folder that only one server uses at a time. */
export interface DataDir {
  /** Absolute. */
  readonly path: string;
  readonly postgresDir: string;
  readonly casDir: string;
  readonly secretsDir: string;
  readonly keysDir: string;
  /** Certificate and key that it serves with. */
  readonly tlsDir: string;
  readonly adminTokenFile: string;
  /** The token of a former start; undefined if there is none. */
  readAdminToken(): Promise<string | undefined>;
  writeAdminToken(token: string): Promise<void>;
  /** Whether it was made of a backup, and nobody has adopted it since. */
  isRestored(): Promise<boolean>;
  /** From now on it is a server's like any other. */
  adopt(): Promise<void>;
  /** The folder and its files stay; another server may use it. */
  release(): Promise<void>;
}

/**
 * Opens the folder for this process, making it if absent. Throws StartFailure: DATA_DIR_NOT_WRITABLE,
 * DATA_DIR_FOREIGN, DATA_DIR_NEWER or DATA_DIR_LOCKED.
 */
export function openDataDir(folder: string): Promise<DataDir> {
  return inWords(path.resolve(folder), async (dir) => {
    await makeFolder(dir);
    return open(dir, refuseForeign);
  });
}

/** The same for a folder that is an Attestry's already: makes nothing in it but the lock. */
export function openExistingDataDir(folder: string): Promise<DataDir> {
  return inWords(path.resolve(folder), (dir) => open(dir, refuseUnmade));
}

async function inWords<T>(dir: string, work: (dir: string) => Promise<T>): Promise<T> {
  try {
    return await work(dir);
  } catch (error) {
    if (error instanceof StartFailure) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why = reasons[code ?? ""];
    if (why === undefined) throw error;
    throw new StartFailure("DATA_DIR_NOT_WRITABLE", `the data directory ${dir} cannot be used: ${why}`, {
      cause: error,
    });
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: "no permission to write there",
  EPERM: "no permission to write there",
  EROFS: "its file system is read-only",
  ENOTDIR: "a part of its path is no directory",
  EEXIST: "it is no directory",
  ENOENT: "no folder can be made there",
  ENOSPC: "its file system is full",
};

/** `withoutVersion` refuses a folder that is not to be used though no server wrote another version there. */
async function open(dir: string, withoutVersion: (dir: string) => Promise<void>): Promise<DataDir> {
  const versionFile = path.join(dir, "version");
  const found = await readIfThere(versionFile);
  if (found === undefined) await withoutVersion(dir);
  else checkVersion(dir, found);

  const lock = await takeLock(path.join(dir, "lock"));
  if ("heldBy" in lock) {
    const message = `the data directory ${dir} is in use by a running Attestry (process ${lock.heldBy})`;
    throw new StartFailure("DATA_DIR_LOCKED", message);
  }
  if (found === undefined) await writeDurably(versionFile, `${dataVersion}\n`, 0o644);

  const adminTokenFile = path.join(dir, "admin-token");
  return {
    path: dir,
    postgresDir: path.join(dir, "postgres"),
    casDir: path.join(dir, "cas"),
    secretsDir: path.join(dir, "secrets"),
    keysDir: path.join(dir, "keys"),
    tlsDir: path.join(dir, "tls"),
    adminTokenFile,
    readAdminToken: async () => (await readIfThere(adminTokenFile))?.trim() || undefined,
    writeAdminToken: (token) => writeDurably(adminTokenFile, `${token}\n`, 0o600),
    isRestored: () => exists(path.join(dir, restoredName)),
    adopt: () => rm(path.join(dir, restoredName), { force: true }),
    release: () => lock.release(),
  };
}

/** Not mkdir's `recursive`: where the system answers ENOENT to all, as /proc does, that never ends (Node 24). */
async function makeFolder(dir: string): Promise<void> {
  const missing: string[] = [];
  let folder = dir;
  for (; !(await exists(folder)); folder = path.dirname(folder)) missing.unshift(folder);
  for (const each of missing) {
    await mkdir(each, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      // Another start may have been quicker.
      if (error.code !== "EEXIST") throw error;
    });
  }
  if (!(await stat(dir)).isDirectory()) throw Object.assign(new Error(dir), { code: "EEXIST" });
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

function checkVersion(dir: string, text: string): void {
  const version = Number(text.trim());
  if (version === dataVersion) return;
  const message =
    version > dataVersion
      ? `the data directory ${dir} was written by a newer Attestry (its version is ${version}, this one reads ${dataVersion}): update Attestry`
      : `the data directory ${dir} has no readable version file (expected ${dataVersion}, came ${JSON.stringify(text.trim())})`;
  throw new StartFailure("DATA_DIR_NEWER", message);
}

/** A folder with other things in it is no place for a server's data: a mistyped path must not fill a home directory. */
async function refuseForeign(dir: string): Promise<void> {
  const harmless = (name: string) => name.startsWith("lock") || name === "lost+found";
  const others = (await readdir(dir)).filter((name) => !harmless(name));
  if (others.length === 0) return;
  const message = `the data directory ${dir} is neither empty nor Attestry's: it has ${others[0]}`;
  throw new StartFailure("DATA_DIR_FOREIGN", message);
}

async function refuseUnmade(dir: string): Promise<void> {
  const why = (await exists(dir)) ? "it has no file named version" : "there is no such folder";
  throw new StartFailure("DATA_DIR_FOREIGN", `${dir} is no data directory of Attestry: ${why}`);
}

async function readIfThere(file: string): Promise<string | undefined> {
  return (await exists(file)) ? readFile(file, "utf8") : undefined;
}

/** Writes the whole file or nothing, and returns when it is on disk. */
export async function writeDurably(file: string, content: string, mode: number): Promise<void> {
  const unfinished = `${file}.unfinished`;
  await writeFile(unfinished, content, { mode, flush: true });
  await rename(unfinished, file);
}
