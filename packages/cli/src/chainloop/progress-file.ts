import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { unwritable } from "../files/file-errors.ts";
import type { Position } from "./database.ts";

/** How far an import is, as a file has it. */
interface Reached {
  /** All runs up to here are settled, apart from `open`. */
  position: Position | null;
  /** Ids of runs before it that have to be looked at again. */
  open: string[];
  /** How many runs are imported for good. */
  done: number;
  /** How many runs were left because they have no bundle. */
  legacy: number;
}

/** A run of chainloop may still get its attestation for a while, and would then lie before the position. */
const settledAfterMs = 24 * 60 * 60_000;
/** With more than this the position stays where it is. */
const mostOpen = 10_000;

/**
 * Where an import is, in a file of the user's, so that the next one need not ask for what is done. It is a short cut and nothing
 * else: without it an import comes to the same.
 */
export class ProgressFile {
  readonly path: string;
  #reached: Reached;
  /** What follows a gap cannot be remembered by a position. */
  #hasGap = false;

  private constructor(file: string, reached: Reached) {
    this.path = file;
    this.#reached = reached;
  }

  /** The file for an import from one organization to another, as they are named by their ids. Unreadable: from the beginning. */
  static async open(from: string, to: string, fromScratch: boolean): Promise<ProgressFile> {
    const name = createHash("sha256").update(`${from}\n${to}`).digest("hex").slice(0, 16);
    const state = process.env.XDG_STATE_HOME || path.join(homedir(), ".local/state");
    const file = path.join(state, "attestry", `import-chainloop-${name}.json`);
    const begin: Reached = { position: null, open: [], done: 0, legacy: 0 };
    if (fromScratch) return new ProgressFile(file, begin);
    const text = await readFile(file, "utf8").catch(() => "");
    return new ProgressFile(file, parse(text) ?? begin);
  }

  get position(): Position | undefined {
    return this.#reached.position ?? undefined;
  }

  get open(): readonly string[] {
    return this.#reached.open;
  }

  get done(): number {
    return this.#reached.done;
  }

  get legacy(): number {
    return this.#reached.legacy;
  }

  /** Remembers what became of runs that were open before. Throws FILE_UNWRITABLE. */
  async close(ids: readonly string[], stillOpen: ReadonlySet<string>): Promise<void> {
    const closed = new Set(ids.filter((id) => !stillOpen.has(id)));
    this.#reached.open = this.#reached.open.filter((id) => !closed.has(id));
    this.#reached.done += closed.size;
    await this.#write();
  }

  /** Remembers that all runs up to `last` are settled, but those that are open. Throws FILE_UNWRITABLE. */
  async advance(settled: { last: Position; open: readonly string[]; done: number; legacy: number }): Promise<void> {
    const { last, open, done, legacy } = settled;
    const reached = this.#reached;
    this.#hasGap ||=
      Date.parse(last.createdAt) > Date.now() - settledAfterMs || reached.open.length + open.length > mostOpen;
    if (this.#hasGap) return;
    this.#reached = {
      position: { createdAt: last.createdAt, id: last.id },
      open: [...reached.open, ...open],
      done: reached.done + done,
      legacy: reached.legacy + legacy,
    };
    await this.#write();
  }

  async #write(): Promise<void> {
    const unfinished = `${this.path}.${process.pid}`;
    try {
      await mkdir(path.dirname(this.path), { recursive: true, mode: 0o700 });
      await writeFile(unfinished, `${JSON.stringify(this.#reached)}\n`, { mode: 0o600 });
      await rename(unfinished, this.path);
    } catch (cause) {
      await rm(unfinished, { force: true });
      throw unwritable(this.path, cause);
    }
  }
}

function parse(text: string): Reached | undefined {
  try {
    const reached = JSON.parse(text) as Reached;
    const isWhole = Array.isArray(reached.open) && Number.isInteger(reached.done) && Number.isInteger(reached.legacy);
    return isWhole && reached.position !== undefined ? reached : undefined;
  } catch {
    return undefined;
  }
}
