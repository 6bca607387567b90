import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, type WriteStream } from "node:fs";
import type { Content } from "./copy-file.ts";
import { BackupFailure, reading, writing } from "./failure.ts";
import { type ListedEntry, listName, parseEntry } from "./manifest.ts";

/** A path of 4 KiB, in JSON, and the rest. */
const maxLineBytes = 32 * 1024;

/** Writes the list of a backup while its files are copied. */
export class EntryListWriter {
  readonly #file: string;
  readonly #stream: WriteStream;
  readonly #hash = createHash("sha256");
  readonly #counts = { file: 0, folder: 0 };
  #size = 0;
  #bytes = 0;

  constructor(file: string) {
    this.#file = file;
    this.#stream = createWriteStream(file, { flags: "wx", mode: 0o600, flush: true });
    // Each write has its own answer.
    this.#stream.on("error", () => undefined);
  }

  /** Returns when the line went out, so that nothing piles up. */
  async add(entry: ListedEntry): Promise<void> {
    const line = Buffer.from(`${JSON.stringify(entry)}\n`);
    this.#hash.update(line);
    this.#size += line.byteLength;
    this.#counts[entry.kind]++;
    if (entry.kind === "file") this.#bytes += entry.size;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#stream.write(line, (error) => (error ? reject(error) : resolve()));
    await writing(this.#file, promise);
  }

  /** What the manifest says of the list, which is on disk then. */
  async finish(): Promise<{ files: number; folders: number; bytes: number; list: Content }> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#stream.once("error", reject).once("close", resolve).end();
    await writing(this.#file, promise);
    const list = { size: this.#size, digest: `sha256:${this.#hash.digest("hex")}` };
    return { files: this.#counts.file, folders: this.#counts.folder, bytes: this.#bytes, list };
  }

  /** Closes the file of a list that will not be finished. */
  destroy(): void {
    this.#stream.destroy();
  }
}

/** The digest of a file, which is not held in memory. */
export async function contentOfFile(file: string): Promise<Content> {
  const hash = createHash("sha256");
  const stream = createReadStream(file);
  const hashed = async () => {
    for await (const chunk of stream as AsyncIterable<Buffer>) hash.update(chunk);
  };
  await reading(file, hashed());
  return { size: stream.bytesRead, digest: `sha256:${hash.digest("hex")}` };
}

/** The entries of a list, one after the other. Throws BackupFailure BACKUP_MALFORMED. */
export async function* readEntries(file: string): AsyncGenerator<ListedEntry, void, void> {
  let number = 0;
  let rest = Buffer.alloc(0);
  const where = () => `${listName}, line ${++number}`;
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    const bytes = Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf("\n"); end !== -1; end = bytes.indexOf("\n", start)) {
      yield parseEntry(where(), bytes.toString("utf8", start, end));
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.byteLength > maxLineBytes) {
      throw new BackupFailure("BACKUP_MALFORMED", `the backup's ${where()} has more than ${maxLineBytes} bytes`);
    }
  }
  if (rest.byteLength > 0) throw new BackupFailure("BACKUP_MALFORMED", `the backup's ${where()} has no end`);
}
