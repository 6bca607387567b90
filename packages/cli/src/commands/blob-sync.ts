import { stat } from "node:fs/promises";
import path from "node:path";
import { type BlobToUpload, fileSource, type Uploaded, uploadMany } from "@attestry/cas-client";
import type { Command } from "commander";
import { positiveInteger, runId as runIdArgument } from "../arguments.ts";
import { CasTokens, type UploadTarget, uploadIdOfFile, uploadPurpose } from "../client/cas-token.ts";
import { type Context, transferTimeoutMs, withContext } from "../context.ts";
import { CommandError, describeError } from "../errors.ts";
import { describeFile } from "../files/describe-file.ts";
import { fileFault, unreadable } from "../files/file-errors.ts";
import { walk } from "../files/walk.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { printable } from "../output/printable.ts";
import { startProgress } from "../output/progress.ts";

interface SyncOptions extends UploadTarget {
  jobs: number;
}

export function addBlobSync(blob: Command): void {
  const command = blob
    .command("sync")
    .description(
      "Upload what the CAS lacks of the files below a folder, many at a time. Links are not followed; a file that cannot be read is named, and the others go on. The same command again goes on where this one was stopped.",
    )
    .argument("<dir>")
    .option("--run <id>", "to this run's backend (default: the organization's default backend)", runIdArgument)
    .option("--backend <name>", "to this backend")
    .option("--jobs <n>", "uploads at a time", positiveInteger, 4)
    .action((folder: string, options: SyncOptions, self: Command) =>
      withContext(self, (context) => new Sync(context, folder, options).run(), transferTimeoutMs),
    );
  addExamples(
    addOutputOption(command, "{files: [{path, digest, sizeBytes, uploaded}], failed: [path], skipped: [path]}"),
    "attestry blob sync dist",
    "attestry blob sync dist --jobs 8 -o json",
  );
}

interface SyncBlob extends BlobToUpload {
  /** Relative to the folder. */
  path: string;
}

interface SyncedFile {
  path: string;
  digest: string;
  sizeBytes: number;
  uploaded: boolean;
}

class Sync {
  readonly #context: Context;
  readonly #folder: string;
  readonly #options: SyncOptions;
  readonly #counts = { uploaded: 0, present: 0 };
  /** Only for JSON, which comes at the end. */
  readonly #files: SyncedFile[] = [];
  readonly #failed: string[] = [];
  readonly #skipped: string[] = [];
  /** What is printed comes out in order; the walk waits for it, so that a slow reader makes nothing pile up. */
  #printing: Promise<void> = Promise.resolve();

  constructor(context: Context, folder: string, options: SyncOptions) {
    this.#context = context;
    this.#folder = folder;
    this.#options = options;
  }

  async run(): Promise<void> {
    const tokens = new CasTokens(this.#context, uploadPurpose(this.#options));
    const stats = await stat(this.#folder).catch((cause: unknown) => {
      throw unreadable(this.#folder, cause);
    });
    if (!stats.isDirectory()) throw new CommandError("FILE_UNREADABLE", `${this.#folder} is no folder`);
    const progress = startProgress("syncing", process.stderr.isTTY ? await this.#totalBytes() : 0);
    try {
      await uploadMany(this.#context.services.cas, {
        ...this.#context.caller.persistence(),
        blobs: this.#blobs(),
        token: tokens.issue,
        jobs: this.#options.jobs,
        onResult: (result) => this.#settle(result),
        onProgress: (bytes) => progress.update(bytes),
      });
    } finally {
      progress.stop();
      await this.#report();
    }
    const { length } = this.#failed;
    if (length > 0) throw new CommandError("FILES_FAILED", `${length} of the files and folders could not be uploaded`);
  }

  /** Hashes one file after the other, as uploadMany asks for them. */
  async *#blobs(): AsyncGenerator<SyncBlob, void, void> {
    for await (const entry of walk(this.#folder)) {
      await this.#printing;
      if (entry.kind === "skipped") {
        this.#skipped.push(entry.path);
        this.#say(() => this.#context.note(`skipped: ${printable(entry.path)} is ${entry.what}`));
        continue;
      }
      if (entry.kind === "unreadable") {
        this.#fail(entry.path, entry.error);
        continue;
      }
      const blob = await this.#describe(entry.path).catch((error: unknown) => {
        // Out of time, or interrupted: no fault of the file.
        this.#context.caller.options();
        this.#fail(entry.path, error);
      });
      if (blob !== undefined) yield blob;
    }
  }

  async #describe(name: string): Promise<SyncBlob> {
    const file = path.join(this.#folder, name);
    const described = await describeFile(file, () => this.#context.caller.options());
    return { ...described, path: name, open: fileSource(file), uploadId: uploadIdOfFile(described.digest, file) };
  }

  #settle(result: Uploaded<SyncBlob>): void {
    const { path: name, digest, sizeBytes } = result.blob;
    if (result.outcome === "failed") {
      this.#fail(name, fileFault(path.join(this.#folder, name), result.fault));
      return;
    }
    const uploaded = result.outcome === "uploaded";
    this.#counts[uploaded ? "uploaded" : "present"]++;
    if (this.#context.json) this.#files.push({ path: name, digest, sizeBytes, uploaded });
    this.#say(() => this.#context.printLine(`${uploaded ? "uploaded" : "present"} ${digest} ${name}`));
  }

  #fail(name: string, error: unknown): void {
    this.#failed.push(name);
    this.#say(() => this.#context.note(`${printable(name)}: ${describeError(error).trimEnd()}`));
  }

  #say(print: () => Promise<void>): void {
    this.#printing = this.#printing.then(print);
    // Whoever waits for it at the end sees its fault.
    this.#printing.catch(() => undefined);
  }

  async #report(): Promise<void> {
    await this.#printing;
    const files = this.#files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
    await this.#context.printJson({ files, failed: this.#failed, skipped: this.#skipped });
    const { uploaded, present } = this.#counts;
    const rest = [
      [present, "there already"],
      [this.#failed.length, "failed"],
      [this.#skipped.length, "skipped"],
    ] as const;
    const counts = rest.filter(([count]) => count > 0).map(([count, what]) => `, ${count} ${what}`);
    await this.#context.note(`${uploaded} uploaded${counts.join("")}`);
  }

  async #totalBytes(): Promise<number> {
    let total = 0;
    for await (const entry of walk(this.#folder)) {
      if (entry.kind !== "file") continue;
      const stats = await stat(path.join(this.#folder, entry.path)).catch(() => undefined);
      total += stats?.size ?? 0;
    }
    return total;
  }
}
