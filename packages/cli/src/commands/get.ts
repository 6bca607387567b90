import { type Attestation, AttestationSchema, type AttestationServiceDownloadResponse } from "@attestry/api/ingest";
import { type Command, Option } from "commander";
import { type DigestOrRun, digestOrRun } from "../arguments.ts";
import { type Context, transferTimeoutMs, withContext } from "../context.ts";
import { CommandError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import { writeVerified } from "../files/write-verified.ts";
import { attestationCells, attestationFields } from "../output/attestations.ts";
import { bytesCell } from "../output/cells.ts";
import { addExamples } from "../output/option.ts";
import { plain } from "../output/plain.ts";
import { startProgress } from "../output/progress.ts";

export function addGetCommand(program: Command): void {
  const command = program
    .command("get")
    .summary("read an attestation, byte for byte as it was stored")
    .description(
      "Read an attestation: its bundle, byte for byte as it was stored, to a file or stdout. The bytes are checked " +
        "against the digest first, so there is either the right file or none. With -o json or -o table, what is known " +
        "about the attestation is printed instead.",
    )
    .argument("<digest|run>", "digest of the bundle, or id of the run", digestOrRun)
    .addOption(
      new Option(
        "-o, --output <file|json|table>",
        "file for the bundle, or - for stdout; json and table describe it (for a file of such a name: ./json)",
      ).default("-"),
    )
    .action((by: DigestOrRun, options: { output: string }, self: Command) =>
      withContext(self, (context) => get(context, by, options.output), transferTimeoutMs),
    )
    .addHelpText("after", `\nJSON: {${attestationFields}}`);
  addExamples(
    command,
    "attestry get sha256:6d1e... -o bundle.json",
    "attestry get 0198a6e0-7a52-7cc3-98b8-5d2d5a0c6f10 | jq .mediaType",
    "attestry get sha256:6d1e... -o json",
  );
}

async function get(context: Context, by: DigestOrRun, output: string): Promise<void> {
  const described = output === "json" || output === "table";
  // Download serves bundles of any size; the plain Get has the limit of one message.
  const attestation = await context.caller.repeatable(async (call) => {
    const messages = context.services.attestations.download({ by }, call)[Symbol.asyncIterator]();
    const announced = attestationOf(await messages.next(), by);
    const expected = { digest: announced.digest, sizeBytes: Number(announced.sizeBytes) };
    if (!described) await writeVerified(output, expected, chunksOf(messages, expected.sizeBytes));
    return announced;
  });
  if (described) await context.printObject(plain(AttestationSchema, attestation), attestationCells(attestation));
  else if (output !== "-")
    await context.note(`${output}: ${bytesCell(attestation.sizeBytes)} bytes, ${attestation.digest}`);
}

/** The first message. Throws CONTENT_CORRUPT if it is not the attestation that was asked for. */
function attestationOf(first: IteratorResult<AttestationServiceDownloadResponse>, by: DigestOrRun): Attestation {
  if (first.done || first.value.part.case !== "attestation")
    throw corrupt("the answer does not begin with an attestation");
  const attestation = first.value.part.value;
  const actual = by.case === "digest" ? attestation.digest : attestation.runId;
  if (actual !== by.value.toLowerCase()) throw corrupt(`asked for ${by.value}, got ${actual}`);
  return attestation;
}

async function* chunksOf(
  messages: AsyncIterator<AttestationServiceDownloadResponse>,
  sizeBytes: number,
): AsyncGenerator<Uint8Array, void, void> {
  const progress = startProgress("reading", sizeBytes);
  try {
    let received = 0;
    for (let next = await messages.next(); !next.done; next = await messages.next()) {
      if (next.value.part.case !== "chunk") continue;
      received += next.value.part.value.byteLength;
      progress.update(received);
      yield next.value.part.value;
    }
  } finally {
    progress.stop();
  }
}

function corrupt(message: string): CommandError {
  return new CommandError("CONTENT_CORRUPT", message, { exitCode: exitCodes.corrupt });
}
