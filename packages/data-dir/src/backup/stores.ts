import { existsSync } from "node:fs";
import { readFile, realpath } from "node:fs/promises";
import path from "node:path";
import { type DataDir, writeDurably } from "../data-dir.ts";
import { BackupFailure, reading, writing } from "./failure.ts";
import { walk } from "./walk.ts";

/** Of the store that each start makes anew, wherever the data directory is by then. */
const own = "_shared/local.json";
const ending = ".json";

interface Secret {
  /** As backends name it. */
  ref: string;
  file: string;
  /** Of a store that is a folder: all of the secret, with the folder's path. */
  folder: { path: string } | undefined;
}

/**
 * The paths by which secrets may name the data directory: as it is given, without links, and as the server saw it when it
 * last started, which may have been in a container.
 */
export async function pathsOf({ path: dir, secretsDir }: DataDir): Promise<string[]> {
  const local = path.join(secretsDir, own);
  const seen = existsSync(local) ? folderOf(await readSecret(local))?.path : undefined;
  const started =
    seen !== undefined && path.isAbsolute(seen) && path.basename(seen) === "cas" ? [path.dirname(seen)] : [];
  return [...new Set([dir, await reading(dir, realpath(dir)), ...started])];
}

/**
 * References of the secrets whose stores are not below the data directory: a bucket, another folder, or a secret that
 * cannot be read. What they hold is not in a backup.
 */
export async function storesElsewhere(secretsDir: string, dataDirs: readonly string[]): Promise<string[]> {
  const references: string[] = [];
  for await (const { ref, folder } of secretsIn(secretsDir)) {
    if (folder === undefined || placeBelow(dataDirs, folder.path) === undefined) references.push(ref);
  }
  return references;
}

/** Has the secrets of stores that were below the old data directory name the same places below the new one. */
export async function moveStores(
  secretsDir: string,
  dataDirs: readonly string[],
  dataDir: string,
): Promise<{ moved: string[]; elsewhere: string[] }> {
  const stores: { moved: string[]; elsewhere: string[] } = { moved: [], elsewhere: [] };
  for await (const { ref, file, folder } of secretsIn(secretsDir)) {
    const place = folder && placeBelow(dataDirs, folder.path);
    if (place === undefined) {
      stores.elsewhere.push(ref);
      continue;
    }
    const secret = { ...folder, path: path.join(dataDir, place) };
    await writing(file, writeDurably(file, `${JSON.stringify(secret)}\n`, 0o600));
    stores.moved.push(ref);
  }
  return stores;
}

async function* secretsIn(secretsDir: string): AsyncGenerator<Secret, void, void> {
  // A server that was killed in its first start may not have made it.
  if (!existsSync(secretsDir)) return;
  const refuse = (at: string, what: string) => new BackupFailure("BACKUP_UNSUPPORTED", `${at} is ${what}`);
  for await (const { kind, path: at } of walk(secretsDir, { refuse })) {
    if (kind !== "file" || !at.endsWith(ending) || at === own) continue;
    const file = path.join(secretsDir, at);
    yield { ref: at.slice(0, -ending.length), file, folder: folderOf(await readSecret(file)) };
  }
}

function readSecret(file: string): Promise<string> {
  return reading(file, readFile(file, "utf8"));
}

function folderOf(secret: string): { path: string } | undefined {
  try {
    const fields = JSON.parse(secret) as { provider?: unknown; path?: unknown };
    return fields.provider === "filesystem" && typeof fields.path === "string"
      ? { ...fields, path: fields.path }
      : undefined;
  } catch {
    return undefined;
  }
}

/** Where a folder is below one of the directories, relative to it; undefined if it is below none. */
function placeBelow(dirs: readonly string[], folder: string): string | undefined {
  const isBelow = (place: string) => place !== ".." && !place.startsWith(`..${path.sep}`) && !path.isAbsolute(place);
  return dirs.map((dir) => path.relative(dir, folder)).find(isBelow);
}
