import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { CredentialServiceIssueCasTokenRequestSchema } from "@attestry/api/run";
import { describeBlob, readBlob, uploadBlob } from "@attestry/cas-client";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CallOptions } from "@connectrpc/connect";
import { type Command, Option } from "commander";
import { digest as digestArgument, runId as runIdArgument } from "../arguments.ts";
import { type Context, transferTimeoutMs, withContext } from "../context.ts";
import { UsageError } from "../errors.ts";
import { unreadable } from "../files/file-errors.ts";
import { type Expected, writeVerified } from "../files/write-verified.ts";
import { bytesCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { startProgress } from "../output/progress.ts";

type Purpose = NonNullable<MessageInitShape<typeof CredentialServiceIssueCasTokenRequestSchema>["purpose"]>;

const readBytes = 1024 * 1024;

export function addBlobCommand(program: Command): void {
  const blob = program
    .command("blob")
    .description("materials in the organization's CAS, by digest; needs an external backend");
  addPut(blob);
  addGet(blob);
}

interface PutOptions {
  run?: string;
  backend?: string;
}

function addPut(blob: Command): void {
  const command = blob
    .command("put")
    .description("Upload a file under its SHA-256. What is there already is not sent again.")
    .argument("<file>")
    .option("--run <id>", "to this run's backend (default: the organization's default backend)", runIdArgument)
    .option("--backend <name>", "to this backend")
    .action((file: string, options: PutOptions, self: Command) =>
      withContext(self, (context) => put(context, file, options), transferTimeoutMs),
    );
  addExamples(
    addOutputOption(command, "{digest: sha256:<hex>, sizeBytes, backend}"),
    "attestry blob put sbom.json",
    'attestry blob put image.tar --run "$RUN" -o json',
  );
}

function addGet(blob: Command): void {
  const command = blob
    .command("get")
    .description(
      "Download a blob to a file or stdout, or say how large it is and where. A file appears only if its digest is right.",
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

async function put(context: Context, file: string, options: PutOptions): Promise<void> {
  if (options.run !== undefined && options.backend !== undefined)
    throw new UsageError("give --run or --backend, not both");
  const { digest, sizeBytes } = await describeFile(file);
  const purpose: Purpose =
    options.run === undefined
      ? { case: "upload", value: { backend: options.backend ?? "" } }
      : { case: "uploadForRun", value: { runId: options.run } };
  const progress = startProgress("uploading", sizeBytes);
  let backend = "";
  try {
    await context.caller.repeatable(async (call) => {
      const { token, backends } = await casToken(context, purpose, call);
      backend = backends[0] ?? "";
      const { signal, timeoutMs } = context.caller.options();
      await uploadBlob(context.services.cas, {
        token,
        digest,
        sizeBytes,
        bytes: createReadStream(file, { highWaterMark: readBytes }),
        onProgress: (bytes) => progress.update(bytes),
        signal,
        timeoutMs,
      });
    });
  } finally {
    progress.stop();
  }
  await context.printObject({ digest, sizeBytes, backend }, { digest, bytes: bytesCell(sizeBytes), backend });
}

async function get(context: Context, digest: string, output: string): Promise<void> {
  const cas = context.services.cas;
  const { token, sizeBytes, backendName } = await context.caller.repeatable(async (call) => {
    const { token } = await casToken(context, { case: "download", value: { digest } }, call);
    const { signal, timeoutMs } = context.caller.options();
    return { token, ...(await describeBlob(cas, { token, digest, signal, timeoutMs })) };
  });
  if (output === "json" || output === "table") {
    const described = { digest, sizeBytes, backend: backendName };
    await context.printObject(described, { ...described, sizeBytes: bytesCell(sizeBytes) });
    return;
  }
  const { signal, timeoutMs } = context.caller.options();
  const bytes = readBlob(cas, { token, digest, sizeBytes, signal, timeoutMs });
  await writeVerified(output, { digest, sizeBytes }, withProgress(bytes, sizeBytes));
  if (output !== "-") await context.note(`${output}: ${bytesCell(sizeBytes)} bytes, ${digest}`);
}

/** A token for one attempt: it lives 5 minutes, and attempts go on for longer. */
async function casToken(
  context: Context,
  purpose: Purpose,
  call: CallOptions,
): Promise<{ token: string; backends: string[] }> {
  const answer = await context.services.credentials.issueCasToken({ purpose }, call);
  return { token: answer.token, backends: answer.backendNames };
}

/** Reads a file once for its digest and size. */
async function describeFile(file: string): Promise<Expected> {
  try {
    const stats = await stat(file);
    if (stats.isDirectory()) throw Object.assign(new Error(`${file} is a folder`), { code: "EISDIR" });
    if (!stats.isFile()) throw Object.assign(new Error(`${file} is no regular file`), { code: "no regular file" });
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(file, { highWaterMark: readBytes })) hash.update(chunk as Buffer);
    return { digest: `sha256:${hash.digest("hex")}`, sizeBytes: stats.size };
  } catch (cause) {
    throw unreadable(file, cause);
  }
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
