import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type Backup, type BackupOptions, backUp } from "../src/index.ts";
import { temporaryFolder } from "./temporary-folder.ts";

export interface Place {
  folder: string;
  dataDir: string;
  /** Where a backup may be made. */
  target: string;
}

/** A data directory as far as copies of it are concerned, without a server having to make it. */
export function smallDataDir(): Place {
  const folder = temporaryFolder();
  const dataDir = path.join(folder, "data");
  const files: Record<string, string> = {
    version: "1\n",
    "admin-token": "token\n",
    lock: "",
    "lost+found/0": "",
    "cas/bundles/blob": "b".repeat(100_000),
    "cas/empty": "",
    "secrets/_shared/local.json": JSON.stringify({ provider: "filesystem", path: "/before/it/was/moved" }),
    "postgres/postgres.log": "log",
    "postgres/cluster/PG_VERSION": "18\n",
    "postgres/cluster/postmaster.pid": "999999999\n",
  };
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(dataDir, name);
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, content, { mode: 0o600 });
  }
  chmodSync(path.join(dataDir, "version"), 0o644);
  mkdirSync(path.join(dataDir, "postgres/cluster/pg_twophase"), { mode: 0o750 });
  utimesSync(path.join(dataDir, "cas/bundles/blob"), 1_700_000_000, 1_700_000_000);
  return { folder, dataDir, target: path.join(folder, "backup") };
}

/** Options of a backup or restore that nobody watches. */
export const quiet = { signal: new AbortController().signal, onTotal: () => undefined, onBytes: () => undefined };

export function backUpOf({ dataDir, target }: Place, options: Partial<BackupOptions> = {}): Promise<Backup> {
  return backUp({ ...quiet, dataDir, target, attestryVersion: "1.2.3", ...options });
}

/** Everything below a folder by its path: a file's bytes in hex, null for a folder or what else there is. */
export function contentOf(folder: string): Record<string, string | null> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    return [path.relative(folder, file), entry.isFile() ? readFileSync(file).toString("hex") : null] as const;
  });
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Changes the list of a backup, and its manifest so that it goes with the list. */
export function rewriteList(backup: string, change: (lines: string[]) => string[]): void {
  const file = path.join(backup, "files.jsonl");
  const lines = change(readFileSync(file, "utf8").trimEnd().split("\n"));
  const text = lines.map((line) => `${line}\n`).join("");
  writeFileSync(file, text);
  const entries = lines.map((line) => JSON.parse(line) as { kind: string; size?: number });
  const digest = `sha256:${createHash("sha256").update(text).digest("hex")}`;
  rewriteManifest(backup, {
    files: entries.filter(({ kind }) => kind === "file").length,
    folders: entries.filter(({ kind }) => kind === "folder").length,
    bytes: entries.reduce((sum, { size = 0 }) => sum + size, 0),
    list: { size: Buffer.byteLength(text), digest },
  });
}

export function rewriteManifest(backup: string, change: Record<string, unknown>): void {
  const file = path.join(backup, "manifest.json");
  const manifest = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  writeFileSync(file, JSON.stringify({ ...manifest, ...change }));
}
