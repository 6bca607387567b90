import { mkdir, open, rename, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { LRUCache } from "lru-cache";
import { backendMisconfigured } from "./backend.ts";
import { codeOf } from "./error-code.ts";

/** How long the root counts as there after it was seen, in milliseconds. */
const seenForMs = 1_000;
/** Folders whose own entry is known to be durable; past that they are found out again. */
const knownAtMost = 10_000;

/**
 * When each root was seen last, in milliseconds since 1970. Of the process: a backend is opened anew when its secret changes,
 * or when many are in use.
 */
const seenRoots = new LRUCache<string, number>({ max: 100_000 });

/** The folders of one backend: made when they turn out to be missing, and durable before what lies in them counts. */
export class Folders {
  readonly #root: string;
  readonly #durable = new Set<string>();

  /** @param root absolute path of the organization's folder */
  constructor(root: string) {
    // Without a slash at its end, as `dirname` gives folders.
    this.#root = resolve(root);
  }

  /** Something was found or stored in it. */
  noteSeen(): void {
    seenRoots.set(this.#root, Date.now());
  }

  /**
   * To be called before something is said to be absent, or made: a root that this process saw and that is gone was unmounted
   * rather than emptied. Then nothing may be called lost, and nothing be stored in what lies under the mount. One that was
   * seen a moment ago is not looked at again, unless it must be certain.
   * Throws BACKEND_MISCONFIGURED.
   */
  async throwIfGone({ certainly = false } = {}): Promise<void> {
    const seenAtMs = seenRoots.get(this.#root);
    if (!certainly && seenAtMs !== undefined && Date.now() - seenAtMs < seenForMs) return;
    try {
      await stat(this.#root);
      this.noteSeen();
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
      if (seenAtMs !== undefined) throw gone(error);
    }
  }

  /** Acts, and makes the path's folder first if that was missing: a call that finds it pays nothing. */
  async orCreatingParent<T>(path: string, act: () => Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
      await this.throwIfGone({ certainly: true });
      await this.#create(dirname(path), signal);
      return await act();
    }
  }

  /**
   * Renames a file to a path below the root, durably: a power cut may undo a rename, and lose a folder, until the folder
   * that holds it is synced.
   */
  async moveIntoPlace(from: string, to: string, signal: AbortSignal): Promise<void> {
    await this.orCreatingParent(to, () => rename(from, to), signal);
    await this.makeDurable(to);
  }

  /** Syncs the folder that holds a path, and those above whose own entry may not be durable. */
  async makeDurable(path: string): Promise<void> {
    const folder = dirname(path);
    const unsure: string[] = [];
    // Also of those that another process has just made, and not synced yet.
    for (let one = folder; one.length > this.#root.length && !this.#durable.has(one); one = dirname(one))
      unsure.push(one);
    await Promise.all([folder, ...unsure.map(dirname)].map(syncFolder));
    if (this.#durable.size > knownAtMost) this.#durable.clear();
    for (const one of unsure) this.#durable.add(one);
    this.noteSeen();
  }

  /**
   * At most two tries for each folder of the path. A path may go on missing although its parent is there: below a link
   * to nothing, or in a file system that takes no folders. Then its ENOENT is thrown.
   */
  async #create(path: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#make(path, signal);
    } catch (error) {
      const parent = dirname(path);
      if (codeOf(error) !== "ENOENT" || parent === path) throw error;
      await this.#create(parent, signal);
      await this.#make(path, signal);
    }
  }

  /** One that is there already is as good; the parent must be there. */
  async #make(path: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    try {
      await mkdir(path, { mode: 0o700 });
    } catch (error) {
      if (codeOf(error) === "EEXIST") return;
      throw error;
    }
    this.#durable.delete(path);
    // Those below the root are synced with what is moved into them.
    if (path.length <= this.#root.length) await syncFolder(dirname(path));
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function gone(cause: unknown): Error {
  return backendMisconfigured(
    "the folder was there and is gone: mount its volume again, or restart the gateway if it is to begin anew",
    cause,
  );
}
