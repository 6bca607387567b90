import { lstat, readdir } from "node:fs/promises";
import path from "node:path";
import { reading } from "./failure.ts";

export interface Entry {
  /** Relative to the root of the walk, with `/`. */
  path: string;
  kind: "file" | "folder";
  /** Permission bits. */
  mode: number;
  /** In bytes; 0 for a folder. */
  size: number;
  modifiedMs: number;
}

export interface WalkOptions {
  /** True for what the walk is to pass by, a folder with all that is in it. */
  leaveOut?: (path: string) => boolean;
  /** The error for what is neither a regular file nor a folder; links are not followed. */
  refuse: (path: string, what: string) => Error;
}

/** What is below a folder; a folder comes before what is in it. */
export async function* walk(root: string, options: WalkOptions, below = ""): AsyncGenerator<Entry, void, void> {
  const folder = path.join(root, below);
  const names = await reading(folder, readdir(folder));
  for (const name of names.sort()) {
    const at = below === "" ? name : `${below}/${name}`;
    if (options.leaveOut?.(at) === true) continue;
    const file = path.join(folder, name);
    const stats = await reading(file, lstat(file));
    const common = { path: at, mode: stats.mode & 0o777, modifiedMs: Math.trunc(stats.mtimeMs) };
    if (stats.isDirectory()) {
      yield { ...common, kind: "folder", size: 0 };
      yield* walk(root, options, at);
    } else if (stats.isFile()) {
      yield { ...common, kind: "file", size: stats.size };
    } else {
      throw options.refuse(at, stats.isSymbolicLink() ? "a symbolic link" : "no regular file");
    }
  }
}
