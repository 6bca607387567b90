import { createHash, randomBytes } from "node:crypto";
import { constants, type FileHandle, open, readdir, rm, stat } from "node:fs/promises";
import path from "node:path";

export interface PartialFile {
  path: string;
  handle: FileHandle;
}

/** What a file system takes for a name is 255 bytes. */
const longestNameBytes = 210;

/**
 * What came so far of the downloads of one blob to one target: hidden files beside it,
 * `.<name>.<12 hex digits of the digest>.<random>.part`. Each download writes to a file of its own and only copies what
 * another left, which may be at work still. Any of them may be removed at any time: whoever works on it has it open.
 */
export class PartialFiles {
  readonly #folder: string;
  readonly #prefix: string;
  readonly #sizeBytes: number;

  /** @param sizeBytes of the blob: files that are larger are of no use */
  constructor(target: string, hex: string, sizeBytes: number) {
    const name = path.basename(target);
    const short =
      Buffer.byteLength(name) <= longestNameBytes ? name : createHash("sha256").update(name).digest("hex").slice(0, 32);
    this.#folder = path.dirname(target);
    this.#prefix = `.${short}.${hex.slice(0, 12)}`;
    this.#sizeBytes = sizeBytes;
  }

  /** A new, empty one. */
  async create(): Promise<PartialFile> {
    const file = path.join(this.#folder, `${this.#prefix}.${randomBytes(4).toString("hex")}.part`);
    const handle = await open(file, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o666);
    return { path: file, handle };
  }

  /**
   * The one that got furthest, opened for reading; undefined if there is none with a byte in it. Those that got less
   * far go, so that a download that is killed again and again does not fill the disk.
   */
  async openFurthest(): Promise<PartialFile | undefined> {
    const [furthest, ...rest] = (await this.#others(undefined)).filter(({ size }) => size > 0);
    if (furthest === undefined) return undefined;
    for (const other of rest) await rm(other.path, { force: true });
    try {
      // No link is followed: whoever may write to the folder can make one.
      const handle = await open(furthest.path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
      return { path: furthest.path, handle };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Keeps the one that got furthest, this one or another, and removes the rest. */
  async keepFurthest(own: PartialFile): Promise<void> {
    const { size, nlink } = await own.handle.stat();
    const [furthest] = await this.#others(own);
    // Without a name it cannot be found again.
    const isFurthest = nlink > 0 && size > 0 && (furthest === undefined || size >= furthest.size);
    if (isFurthest) await this.removeOthers(own);
    else await rm(own.path, { force: true });
  }

  /** Removes all but this one. */
  async removeOthers(own: PartialFile): Promise<void> {
    for (const other of await this.#others(own)) await rm(other.path, { force: true });
  }

  /** The furthest first; those that are too large last, as if they were empty. */
  async #others(own: PartialFile | undefined): Promise<{ path: string; size: number }[]> {
    const others: { path: string; size: number }[] = [];
    for (const entry of await readdir(this.#folder, { withFileTypes: true })) {
      const file = path.join(this.#folder, entry.name);
      if (!entry.isFile() || file === own?.path || !this.#isName(entry.name)) continue;
      const size = (await stat(file).catch(() => undefined))?.size ?? 0;
      others.push({ path: file, size: size > this.#sizeBytes ? 0 : size });
    }
    return others.sort((a, b) => b.size - a.size);
  }

  #isName(name: string): boolean {
    return name.startsWith(this.#prefix) && /^\.[0-9a-f]{8}\.part$/.test(name.slice(this.#prefix.length));
  }
}
