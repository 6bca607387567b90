import { fileSource, uploadBlob } from "@attestry/cas-client";
import type { Command } from "commander";
import { runId as runIdArgument } from "../arguments.ts";
import { CasTokens, type UploadTarget, uploadIdOfFile, uploadPurpose } from "../client/cas-token.ts";
import { type Context, transferTimeoutMs, withContext } from "../context.ts";
import { CommandError, describeError, exitCodeOf } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import { describeFile } from "../files/describe-file.ts";
import { fileFault } from "../files/file-errors.ts";
import { bytesCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Column } from "../output/output.ts";
import { printable } from "../output/printable.ts";
import { startProgress } from "../output/progress.ts";
import { write } from "../output/write.ts";

interface PutFile {
  path: string;
  digest: string;
  sizeBytes: number;
  backend: string;
}

export function addBlobPut(blob: Command): void {
  const command = blob
    .command("put")
    .description(
      "Upload files under their SHA-256. What is there already is not sent again, and an upload that broke off, or whose command was killed, goes on where it was.",
    )
    .argument("<file...>")
    .option("--run <id>", "to this run's backend (default: the organization's default backend)", runIdArgument)
    .option("--backend <name>", "to this backend")
    .action((files: string[], target: UploadTarget, self: Command) =>
      withContext(self, (context) => put(context, files, target), transferTimeoutMs),
    );
  addExamples(
    addOutputOption(
      command,
      "{digest: sha256:<hex>, sizeBytes, backend}; of several files {files: [{path, digest, sizeBytes, backend}]}",
    ),
    "attestry blob put sbom.json",
    'attestry blob put image.tar --run "$RUN" -o json',
    "attestry blob put dist/*.tar.gz --backend archive",
  );
}

async function put(context: Context, files: readonly string[], target: UploadTarget): Promise<void> {
  const tokens = new CasTokens(context, uploadPurpose(target));
  const [first] = files;
  if (first !== undefined && files.length === 1) {
    const { digest, sizeBytes, backend } = await putFile(context, tokens, first);
    await context.printObject({ digest, sizeBytes, backend }, { digest, bytes: bytesCell(sizeBytes), backend });
    return;
  }
  await putFiles(context, tokens, files);
}

/** A file that cannot be read or is refused does not stop the others; that the server cannot be reached does. */
async function putFiles(context: Context, tokens: CasTokens, files: readonly string[]): Promise<void> {
  const done: PutFile[] = [];
  let failed = 0;
  let fault: unknown;
  for (const file of files) {
    try {
      done.push(await putFile(context, tokens, file));
    } catch (error) {
      if (exitCodeOf(error) !== exitCodes.refused) {
        fault = error;
        break;
      }
      failed++;
      await write(process.stderr, `${printable(file)}: ${describeError(error)}`);
    }
  }
  await context.printList({ files: done }, columns, done, "no files");
  if (fault !== undefined) throw fault;
  if (failed > 0) throw new CommandError("FILES_FAILED", `${failed} of ${files.length} files were not uploaded`);
}

async function putFile(context: Context, tokens: CasTokens, file: string): Promise<PutFile> {
  const { digest, sizeBytes } = await describeFile(file, () => context.caller.options());
  const progress = startProgress("uploading", sizeBytes);
  try {
    await uploadBlob(context.services.cas, {
      ...context.caller.persistence(),
      ...{ digest, sizeBytes },
      open: fileSource(file),
      token: tokens.issue,
      uploadId: uploadIdOfFile(digest, file),
      onProgress: (bytes) => progress.update(bytes),
    });
  } catch (error) {
    throw fileFault(file, error);
  } finally {
    progress.stop();
  }
  return { path: file, digest, sizeBytes, backend: tokens.backends[0] ?? "" };
}

const columns: Column<PutFile>[] = [
  { head: "digest", cell: ({ digest }) => digest },
  { head: "bytes", cell: ({ sizeBytes }) => bytesCell(sizeBytes) },
  { head: "backend", cell: ({ backend }) => backend },
  { head: "file", cell: ({ path }) => path },
];
