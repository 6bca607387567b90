import { readFile } from "node:fs/promises";
import type { FormerAuthority } from "@attestry/api/run";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { type Context, withContext } from "../context.ts";
import { unreadable } from "../files/file-errors.ts";
import { addExamples, addOutputOption } from "../output/option.ts";

export function addSigningCommand(program: Command): void {
  const signing = program
    .command("signing")
    .description("the server's signing authority: certificates of minutes, for keys that sign one attestation");
  addRoot(signing);
  addIssue(signing);
}

function addRoot(signing: Command): void {
  const command = signing
    .command("root")
    .description(
      "Print the authority's certificates in PEM, what issues first. To trust what it issues for this organization, give them to `attestry trust set --ca`, with the signer that is told on stderr: it issues for every organization of the server.",
    )
    .action((_options: unknown, self: Command) =>
      withContext(self, async (context) => {
        const answer = await context.caller.repeatable((call) => context.services.signing.getAuthority({}, call));
        const { signer } = answer;
        await printPem(context, answer.certificates);
        await context.printJson({ ...jsonOf(answer), former: answer.former.map(jsonOf), signer });
        await context.note(`signer: ${signer}`);
      }),
    );
  addExamples(
    addOutputOption(
      command,
      "{certificates: [PEM], subjectKeyId (hex), former: [{certificates, subjectKeyId}], signer}",
    ),
    "attestry signing root > ca.pem",
    "attestry trust set --ca ca.pem --signer $(attestry signing root -o json | jq -r .signer)",
  );
}

function addIssue(signing: Command): void {
  const command = signing
    .command("issue")
    .description(
      "Ask for a certificate for the key of a signing request, good for 10 minutes, and print it in PEM with the authority's after it. It names the token's organization and nothing of the request.",
    )
    .argument("<file>", "the signing request: PKCS #10 in PEM, for example of `openssl req -new`")
    .action((file: string, _options: unknown, self: Command) =>
      withContext(self, async (context) => {
        const signingRequest = await readFile(file).catch((cause: unknown) => {
          throw unreadable(file, cause);
        });
        const { certificates, expiresAt } = await context.caller.repeatable((call) =>
          context.services.signing.issueCertificate({ signingRequest }, call),
        );
        await printPem(context, certificates);
        await context.printJson({
          certificates,
          expiresAt: expiresAt === undefined ? null : timestampDate(expiresAt).toISOString(),
        });
      }),
    );
  addExamples(
    addOutputOption(command, "{certificates: [PEM], expiresAt}"),
    "attestry signing issue request.pem > chain.pem",
  );
}

function jsonOf({ certificates, subjectKeyId }: Pick<FormerAuthority, "certificates" | "subjectKeyId">): object {
  return { certificates, subjectKeyId: Buffer.from(subjectKeyId).toString("hex") };
}

async function printPem(context: Context, certificates: readonly string[]): Promise<void> {
  for (const line of certificates.flatMap((certificate) => certificate.trim().split("\n"))) {
    await context.printLine(line);
  }
}
