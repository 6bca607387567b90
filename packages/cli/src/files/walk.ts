import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { unreadable } from "./file-errors.ts";

export type WalkedEntry =
  | { kind: "file"; path: string }
  /** What is no regular file: a link, a device, a socket. It is not followed. */
  | { kind: "skipped"; path: string; what: string }
  /** A folder that could not be read. */
  | { kind: "unreadable"; path: string; error: Error };

/** What is below a folder, by name; paths are relative to it, with `/`. */
export async function* walk(root: string, below = ""): AsyncGenerator<WalkedEntry, void, void> {
  let entries: Dirent[];
  try {
    entries = await readdir(path.join(root, below), { withFileTypes: true });
  } catch (cause) {
    yield { kind: "unreadable", path: below, error: unreadable(path.join(root, below), cause) };
    return;
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const at = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) yield* walk(root, at);
    else if (entry.isFile()) yield { kind: "file", path: at };
    else yield { kind: "skipped", path: at, what: entry.isSymbolicLink() ? "a symbolic link" : "no regular file" };
  }
}
