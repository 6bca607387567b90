import { readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";

/** Of the repository. */
export const root = path.resolve(import.meta.dirname, "../../..");

export function readText(file: string): string {
  return readFileSync(path.join(root, file), "utf8");
}

/** A file in YAML, with what it merges (`<<`) in place. */
export function readYaml<T>(file: string): T {
  return parse(readText(file), { merge: true }) as T;
}
