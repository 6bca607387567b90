import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { DataDir } from "../data-dir.ts";
import { BackupFailure, reading } from "./failure.ts";
import { walk } from "./walk.ts";

/** Of the store that each start makes anew, wherever the data directory is by then. */
const own = "_shared/local.json";

/**
 * References of the secrets whose stores are not below the data directory: a bucket, another folder, or a secret that
 * cannot be read. What they hold is not in a backup.
 */
export async function storesElsewhere({ path: dir, secretsDir }: DataDir): Promise<string[]> {
  // A server that was killed in its first start may not have made it.
  if (!existsSync(secretsDir)) return [];
  const references: string[] = [];
  const refuse = (at: string, what: string) => new BackupFailure("BACKUP_UNSUPPORTED", `${at} is ${what}`);
  for await (const { kind, path: at } of walk(secretsDir, { refuse })) {
    if (kind !== "file" || !at.endsWith(".json") || at === own) continue;
    const folder = folderOf(await reading(at, readFile(path.join(secretsDir, at), "utf8")));
    if (folder === undefined || !isBelow(dir, folder)) references.push(at.slice(0, -".json".length));
  }
  return references;
}

function folderOf(secret: string): string | undefined {
  try {
    const { provider, path: folder } = JSON.parse(secret) as { provider?: unknown; path?: unknown };
    return provider === "filesystem" && typeof folder === "string" ? folder : undefined;
  } catch {
    return undefined;
  }
}

function isBelow(dir: string, folder: string): boolean {
  const below = path.relative(dir, folder);
  return below !== ".." && !below.startsWith(`..${path.sep}`) && !path.isAbsolute(below);
}
