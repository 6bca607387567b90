import { createWriteStream, mkdirSync, type WriteStream } from "node:fs";
import path from "node:path";

/** One log file for each process, written anew at each start. */
export class LogFiles {
  readonly dir: string;
  readonly #files = new Map<string, WriteStream>();

  constructor(dir: string) {
    this.dir = dir;
    mkdirSync(dir, { recursive: true });
  }

  write(name: string, text: string): void {
    const file = this.#files.get(name) ?? createWriteStream(path.join(this.dir, `${name}.log`));
    this.#files.set(name, file);
    file.write(text);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#files.values()].map((file) => new Promise((resolve) => file.end(resolve))));
  }
}
