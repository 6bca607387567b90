import { randomUUID } from "node:crypto";
import { readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { BlobQuery } from "../blobs/blob-ref.ts";
import { codeOf } from "./error-code.ts";
import { throwFault } from "./filesystem-errors.ts";

const uuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
/** A sweep removes nothing else: another backend may lie below the folder, if its prefix begins with the folder's name. */
const partialName = new RegExp(`^[a-z]+\\.[0-9a-f]{64}\\.\\d+\\.${uuid}\\.${uuid}$`);

/** A file with the first bytes of an upload. */
export interface Partial {
  path: string;
  sizeBytes: number;
}

/**
 * The partial files of one backend: `<folder>/<2 hex digits>/<space>.<hex>.<size>.<upload id>.<random>`; of an unknown
 * size it says 0. Their folders
 * stay, so that a small blob pays for no folder; the random part gives each write a file of its own.
 */
export class Uploads {
  readonly #folder: string;

  /** @param folder absolute path */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Where a new write may put its bytes. */
  newPath(key: string, blob: BlobQuery, uploadId: string): string {
    return join(this.#folderOf(blob), `${nameOf(key, blob, uploadId)}${randomUUID()}`);
  }

  /** Those of one upload, the longest first. */
  async of(key: string, blob: BlobQuery, uploadId: string): Promise<Partial[]> {
    const folder = this.#folderOf(blob);
    const name = nameOf(key, blob, uploadId);
    const partials: Partial[] = [];
    for (const file of await namesIn(folder)) {
      if (!file.startsWith(name)) continue;
      const path = join(folder, file);
      const found = await stat(path).catch(unlessAbsent);
      if (found !== undefined) partials.push({ path, sizeBytes: found.size });
    }
    return partials.sort((a, b) => b.sizeBytes - a.sizeBytes);
  }

  /**
   * Removes the uploads that no file of was written to since then; returns how many. A fault with one is thrown after the
   * others were done.
   */
  async sweep(before: Date, signal: AbortSignal): Promise<number> {
    let removed = 0;
    const faults: unknown[] = [];
    for (const folder of await namesIn(this.#folder)) {
      if (!/^[0-9a-f]{2}$/.test(folder)) continue;
      for (const files of await this.#byUpload(join(this.#folder, folder), signal)) {
        signal.throwIfAborted();
        try {
          if (await removeIfStale(files, before)) removed++;
        } catch (error) {
          faults.push(error);
        }
      }
    }
    if (faults.length > 0) throwFault(faults[0]);
    return removed;
  }

  async #byUpload(folder: string, signal: AbortSignal): Promise<Iterable<string[]>> {
    signal.throwIfAborted();
    const names = (await namesIn(folder)).filter((name) => partialName.test(name));
    const files = names.map((name) => join(folder, name));
    return Map.groupBy(files, (path) => path.slice(0, path.lastIndexOf("."))).values();
  }

  #folderOf({ hex }: BlobQuery): string {
    return join(this.#folder, hex.slice(0, 2));
  }
}

/** Removes files, some of which may be gone; true if one was there. */
export async function removeFiles(paths: readonly string[]): Promise<boolean> {
  let removed = false;
  for (const path of paths) {
    try {
      await unlink(path);
      removed = true;
    } catch (error) {
      unlessAbsent(error);
    }
  }
  return removed;
}

async function removeIfStale(paths: readonly string[], before: Date): Promise<boolean> {
  for (const path of paths) {
    const found = await stat(path).catch(unlessAbsent);
    if (found !== undefined && found.mtimeMs >= before.getTime()) return false;
  }
  return removeFiles(paths);
}

function nameOf(key: string, { hex, sizeBytes = 0 }: BlobQuery, uploadId: string): string {
  return `${key.split("/")[0]}.${hex}.${sizeBytes}.${uploadId}.`;
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(unlessAbsent)) ?? [];
}

function unlessAbsent(error: unknown): undefined {
  if (codeOf(error) !== "ENOENT") throw error;
}
