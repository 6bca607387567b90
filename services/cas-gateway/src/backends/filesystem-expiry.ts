import type { Stats } from "node:fs";
import { link, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Expiry, HiddenBlob } from "../retention/expiry.ts";
import { codeOf } from "./error-code.ts";
import { absentOrFault } from "./filesystem-errors.ts";
import { listFiles } from "./filesystem-list.ts";
import { FileNames } from "./filesystem-names.ts";
import type { Folders } from "./folders.ts";

const hiddenFolder = "expired/";
const space = "blobs/";
/**
 * `expired/ab/cd/<hash>-<when it was hidden, in milliseconds since 1970>`; the file's own time stays that of its storing. What
 * lies there may also be another backend's, whose prefix begins so; then it begins with another name.
 */
const hiddenPattern = new RegExp(`^${hiddenFolder}([0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64})-([0-9]{1,16})$`);
/** File systems without hard links. */
const linkless = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

/** Blobs are hidden by a rename, which takes whatever is there: so it is looked at again afterwards. */
export class FilesystemExpiry implements Expiry {
  readonly #root: string;
  readonly #folders: Folders;
  readonly #names: FileNames;

  constructor({ root, folders }: { root: string; folders: Folders }) {
    this.#root = root;
    this.#folders = folders;
    this.#names = new FileNames({ root, folders });
  }

  now(): Date {
    return new Date();
  }

  async mayHide(key: string, before: Date, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    try {
      return isOld(await stat(join(this.#root, key)), before);
    } catch (error) {
      absentOrFault(error);
      return false;
    }
  }

  async hide(key: string, before: Date, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const hiddenAt = new Date();
    const from = join(this.#root, key);
    const to = this.#pathOf({ key, hiddenAt });
    try {
      if (!isOld(await stat(from), before)) return false;
      await this.#folders.moveIntoPlace(from, to, signal);
      const moved = await stat(to);
      if (isOld(moved, before)) return true;
      // It was written anew in between: back at once, whatever the signal says.
      await this.restore({ key, hiddenAt, storedAt: moved.mtime });
      return false;
    } catch (error) {
      absentOrFault(error);
      return false;
    }
  }

  async *hidden(signal: AbortSignal): AsyncGenerator<HiddenBlob, void, void> {
    for await (const { key: name, storedAt } of listFiles(this.#root, hiddenFolder, "", signal)) {
      const [, blob, hiddenAt] = hiddenPattern.exec(name) ?? [];
      if (blob !== undefined) yield { key: space + blob, storedAt, hiddenAt: new Date(Number(hiddenAt)) };
    }
  }

  async restore(hidden: HiddenBlob): Promise<void> {
    const from = this.#pathOf(hidden);
    const to = join(this.#root, hidden.key);
    const { signal } = new AbortController();
    try {
      // Never over what is there: that is newer.
      await this.#folders.orCreatingParent(
        to,
        () => link(from, to).catch((error) => moveBack(error, from, to)),
        signal,
      );
      await this.#folders.makeDurable(to);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") absentOrFault(error);
    }
    await unlink(from).catch(absentOrFault);
  }

  async remove(hidden: HiddenBlob, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    await unlink(this.#pathOf(hidden)).catch(absentOrFault);
    // Unless the blob was written anew meanwhile.
    const found = await stat(join(this.#root, hidden.key)).catch(absentOrFault);
    if (found === undefined) await this.#names.remove(hidden.key);
    return true;
  }

  #pathOf({ key, hiddenAt }: Pick<HiddenBlob, "key" | "hiddenAt">): string {
    return join(this.#root, `${hiddenFolder}${key.slice(space.length)}-${hiddenAt.getTime()}`);
  }
}

function isOld(found: Stats, before: Date): boolean {
  return found.isFile() && found.mtime < before;
}

/** For file systems without hard links. What comes there in the moment between is the same blob. */
async function moveBack(error: unknown, from: string, to: string): Promise<void> {
  if (!linkless.has(codeOf(error) ?? "")) throw error;
  const isThere = await stat(to).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  await rename(from, to);
}
