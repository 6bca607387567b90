import { randomUUID } from "node:crypto";
import { open, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { BlobRef } from "../blobs/blob-ref.ts";
import { absentOrFault, throwFault } from "./filesystem-errors.ts";
import { removeFiles, Uploads } from "./filesystem-uploads.ts";
import type { Folders } from "./folders.ts";

/**
 * What clients call the files of their blobs: `data/<key>.name`, in UTF-8. In a folder of their own, which no listing of blobs
 * walks; a name goes when its blob is deleted, and stays while that is out of sight.
 */
export class FileNames {
  readonly #root: string;
  readonly #folders: Folders;
  readonly #uploads: Uploads;

  constructor({ root, folders }: { root: string; folders: Folders }) {
    this.#root = root;
    this.#folders = folders;
    this.#uploads = new Uploads(join(root, "uploads"));
  }

  async of(key: string): Promise<string | undefined> {
    return readFile(this.#pathOf(key), "utf8").catch(absentOrFault);
  }

  /**
   * Names a blob that is about to be visible, durably, unless it has a name: so it never lacks one that its client was told
   * to be kept, and what a crash leaves is the name of the same bytes.
   */
  async give(key: string, blob: BlobRef, name: string, signal: AbortSignal): Promise<void> {
    if ((await this.of(key)) !== undefined) return;
    const partial = this.#uploads.newPath(key, blob, randomUUID());
    try {
      const file = await this.#folders.orCreatingParent(partial, () => open(partial, "wx", 0o600), signal);
      try {
        await file.writeFile(name);
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#folders.moveIntoPlace(partial, this.#pathOf(key), signal);
    } catch (error) {
      await removeFiles([partial]).catch(() => undefined);
      throwFault(error);
    }
  }

  async remove(key: string): Promise<void> {
    await unlink(this.#pathOf(key)).catch(absentOrFault);
  }

  #pathOf(key: string): string {
    return join(this.#root, `data/${key}.name`);
  }
}
