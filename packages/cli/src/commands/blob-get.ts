import { stat } from "node:fs/promises";
import { describeBlob, downloadToFile, readBlob } from "@attestry/cas-client";
import { type Command, Option } from "commander";
import { digest as digestArgument } from "../arguments.ts";
import { CasTokens } from "../client/cas-token.ts";
import { type Context, transferTimeoutMs, withContext } from "../context.ts";
import { unwritable, unwritableFault } from "../files/file-errors.ts";
import { writeVerified } from "../files/write-verified.ts";
import { bytesCell } from "../output/cells.ts";
import { addExamples } from "../output/option.ts";
import { startProgress } from "../output/progress.ts";

interface Wanted {
  digest: string;
  sizeBytes: number;
}

export function addBlobGet(blob: Command): void {
  const command = blob
    .command("get")
    .description(
      "Download a blob to a file or stdout, or say how large it is and where. A file appears only if its digest is right; what came of a download that broke off is kept beside it, and the same command goes on there.",
    )
    .argument("<digest>", "sha256:<hex>", digestArgument)
    .addOption(
      new Option(
        "-o, --output <file|json|table>",
        "file for the blob, or - for stdout; json and table describe it",
      ).default("-"),
    )
    .action((digest: string, options: { output: string }, self: Command) =>
      withContext(self, (context) => get(context, digest, options.output), transferTimeoutMs),
    )
    .addHelpText("after", "\nJSON: {digest, sizeBytes, backend}");
  addExamples(command, "attestry blob get sha256:9f86... -o sbom.json", "attestry blob get sha256:9f86... -o json");
}

async function get(context: Context, digest: string, output: string): Promise<void> {
  const tokens = new CasTokens(context, { case: "download", value: { digest } });
  const { sizeBytes, backendName } = await context.caller.repeatable(async () => {
    const { signal, timeoutMs } = context.caller.options();
    return describeBlob(context.services.cas, { token: tokens.issue, digest, signal, timeoutMs });
  });
  if (output === "json" || output === "table") {
    const described = { digest, sizeBytes, backend: backendName };
    await context.printObject(described, { ...described, sizeBytes: bytesCell(sizeBytes) });
  } else if (output === "-") {
    const bytes = readBlob(context.services.cas, {
      ...context.caller.persistence(),
      ...{ digest, sizeBytes, token: tokens.issue, reachedBefore: true },
    });
    await writeVerified(output, { digest, sizeBytes }, withProgress(bytes, sizeBytes));
  } else {
    await getFile(context, tokens, { digest, sizeBytes }, output);
    await context.note(`${output}: ${bytesCell(sizeBytes)} bytes, ${digest}`);
  }
}

async function getFile(context: Context, tokens: CasTokens, wanted: Wanted, file: string): Promise<void> {
  await checkTarget(file);
  const progress = startProgress("downloading", wanted.sizeBytes);
  try {
    await downloadToFile(context.services.cas, {
      ...context.caller.persistence(),
      ...wanted,
      ...{ path: file, token: tokens.issue, reachedBefore: true },
      onProgress: (bytes) => progress.update(bytes),
    });
  } catch (error) {
    throw unwritableFault(file, error);
  } finally {
    progress.stop();
  }
}

/** The file is put in the place of what is there: never of a folder or a device. */
async function checkTarget(file: string): Promise<void> {
  const there = await stat(file).catch(() => undefined);
  if (there === undefined || there.isFile()) return;
  throw unwritable(file, { code: there.isDirectory() ? "EISDIR" : "no regular file; - is stdout" });
}

async function* withProgress(bytes: AsyncIterable<Uint8Array>, sizeBytes: number): AsyncIterable<Uint8Array> {
  const progress = startProgress("downloading", sizeBytes);
  try {
    let received = 0;
    for await (const chunk of bytes) {
      received += chunk.byteLength;
      progress.update(received);
      yield chunk;
    }
  } finally {
    progress.stop();
  }
}
