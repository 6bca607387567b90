import path from "node:path";
import type { Content } from "./copy-file.ts";
import { BackupFailure } from "./failure.ts";

// A backup is a folder with three things: `manifest.json`, about the whole; the list that it names by its digest, with a
// JSON object for each folder and file on a line of its own, so that nobody has to hold millions of them; and `data`.
export const manifestName = "manifest.json";
export const listName = "files.jsonl";
export const dataName = "data";

/** Raised when an older `restore` could not read what a newer `backup` wrote. */
const format = 2;
export const maxManifestBytes = 64 * 1024;

/** What `manifest.json` says beside the format. */
export interface Manifest {
  /** Of the Attestry that made the backup. */
  attestryVersion: string;
  /** RFC 3339, in UTC. */
  createdAt: string;
  files: number;
  folders: number;
  /** Of all files. */
  bytes: number;
  list: Content;
  /** The paths by which secrets may name the data directory that was copied; none in a backup of the first format. */
  dataDirs: string[];
}

interface Listed {
  /** Relative to `data`, with `/`; a folder comes before what is in it. */
  path: string;
  /** Permission bits as `0` and three octal digits; of a folder all three of its owner's are set. */
  mode: string;
}

/** One line of the list. A file keeps its time, in milliseconds since 1970: a store tells by it how old a blob is. */
export type ListedEntry = (Listed & { kind: "folder" }) | (Listed & Content & { kind: "file"; modifiedMs: number });

export function manifestText(manifest: Manifest): string {
  return `${JSON.stringify({ format, ...manifest }, undefined, 2)}\n`;
}

/** Throws BackupFailure BACKUP_NEWER and BACKUP_MALFORMED. */
export function parseManifest(text: string): Manifest {
  const where = manifestName;
  const fields = parseObject(where, text);
  if (typeof fields.format === "number" && fields.format > format) {
    const message = `the backup has the format ${fields.format}, this Attestry reads ${format}: update Attestry`;
    throw new BackupFailure("BACKUP_NEWER", message);
  }
  if (fields.format !== 1 && fields.format !== format) {
    throw malformed(where, `format must be 1 or ${format}`, fields.format);
  }
  const since2 = fields.format === 1 ? [] : ["dataDirs"];
  const names = ["format", "attestryVersion", "createdAt", "files", "folders", "bytes", "list", ...since2];
  expectNames(where, fields, names);
  const list = objectOf(where, fields.list);
  expectNames(`${where}, list`, list, ["size", "digest"]);
  return {
    attestryVersion: textOf(where, "attestryVersion", fields.attestryVersion, /^[0-9A-Za-z.+-]{1,64}$/),
    createdAt: textOf(where, "createdAt", fields.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    files: countOf(where, "files", fields.files),
    folders: countOf(where, "folders", fields.folders),
    bytes: countOf(where, "bytes", fields.bytes),
    list: contentOf(where, list),
    dataDirs: fields.format === 1 ? [] : foldersOf(where, fields.dataDirs),
  };
}

/** `where` names the line. Throws BackupFailure BACKUP_MALFORMED. */
export function parseEntry(where: string, line: string): ListedEntry {
  const fields = parseObject(where, line);
  const listed = {
    path: pathOf(where, fields.path),
    mode: textOf(where, "mode", fields.mode, /^0[0-7]{3}$/),
  };
  switch (fields.kind) {
    case "folder":
      expectNames(where, fields, ["kind", "path", "mode"]);
      if (!listed.mode.startsWith("07")) throw malformed(where, "mode of a folder must be 07xx", fields.mode);
      return { kind: "folder", ...listed };
    case "file":
      expectNames(where, fields, ["kind", "path", "mode", "modifiedMs", "size", "digest"]);
      return {
        kind: "file",
        ...listed,
        modifiedMs: countOf(where, "modifiedMs", fields.modifiedMs),
        ...contentOf(where, fields),
      };
    default:
      throw malformed(where, "kind must be file or folder", fields.kind);
  }
}

/** Whether the path stays below the folder that it is relative to, and is the one way to write it. */
export function isPlainPath(at: string): boolean {
  if (at === "" || Buffer.byteLength(at) > 4096 || !at.isWellFormed()) return false;
  if (at.includes("\0") || at.includes("\\")) return false;
  return at.split("/").every((segment) => segment !== "" && segment !== "." && segment !== "..");
}

type Fields = Record<string, unknown>;

function parseObject(where: string, text: string): Fields {
  try {
    return objectOf(where, JSON.parse(text));
  } catch (cause) {
    if (cause instanceof BackupFailure) throw cause;
    throw new BackupFailure("BACKUP_MALFORMED", `the backup's ${where} is no JSON`, { cause });
  }
}

function objectOf(where: string, value: unknown): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw malformed(where, "must be a JSON object", value);
}

function expectNames(where: string, fields: Fields, names: readonly string[]): void {
  const other = Object.keys(fields).find((name) => !names.includes(name));
  if (other !== undefined) throw malformed(where, `expected ${names.join(", ")}`, other);
}

function pathOf(where: string, value: unknown): string {
  if (typeof value === "string" && isPlainPath(value)) return value;
  throw malformed(where, "path must be relative, without '.', '..' and nothing between slashes", value);
}

function textOf(where: string, name: string, value: unknown, pattern: RegExp): string {
  if (typeof value === "string" && pattern.test(value)) return value;
  throw malformed(where, `${name} must match ${pattern.source}`, value);
}

function countOf(where: string, name: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw malformed(where, `${name} must be a whole number, not negative`, value);
}

function contentOf(where: string, { size, digest }: Fields): Content {
  return {
    size: countOf(where, "size", size),
    digest: textOf(where, "digest", digest, /^sha256:[0-9a-f]{64}$/),
  };
}

function foldersOf(where: string, value: unknown): string[] {
  const isFolder = (folder: unknown) => typeof folder === "string" && path.isAbsolute(folder);
  if (Array.isArray(value) && value.every(isFolder)) return value as string[];
  throw malformed(where, "dataDirs must be a list of absolute paths", value);
}

function malformed(where: string, expected: string, came: unknown): BackupFailure {
  const shown = (JSON.stringify(came) ?? "nothing").slice(0, 200);
  return new BackupFailure("BACKUP_MALFORMED", `the backup's ${where}: ${expected}; came ${shown}`);
}
