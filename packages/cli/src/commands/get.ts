import { AttestationSchema } from "@attestry/api/ingest";
import { type Command, Option } from "commander";
import { type DigestOrRun, digestOrRun } from "../arguments.ts";
import { openDownload } from "../client/download.ts";
import { type Context, transferTimeoutMs, withContext } from "../context.ts";
import { writeVerified } from "../files/write-verified.ts";
import { attestationCells, attestationFields } from "../output/attestations.ts";
import { bytesCell } from "../output/cells.ts";
import { addExamples } from "../output/option.ts";
import { plain } from "../output/plain.ts";

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
  const attestation = await context.caller.repeatable(async (call) => {
    const { attestation: announced, chunks } = await openDownload(context, by, call);
    const expected = { digest: announced.digest, sizeBytes: Number(announced.sizeBytes) };
    if (!described) await writeVerified(output, expected, chunks);
    return announced;
  });
  if (described) await context.printObject(plain(AttestationSchema, attestation), attestationCells(attestation));
  else if (output !== "-")
    await context.note(`${output}: ${bytesCell(attestation.sizeBytes)} bytes, ${attestation.digest}`);
}
