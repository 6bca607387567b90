import { describeBlob } from "@attestry/cas-client";
import type { Command } from "commander";
import { digest as digestArgument, fileName } from "../arguments.ts";
import { type Context, withContext } from "../context.ts";
import { CommandError } from "../errors.ts";
import { timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";

export function addBlobLink(blob: Command): void {
  const command = blob
    .command("link")
    .description(
      "Print a link that a browser or curl downloads a blob by, for some minutes. Whoever has it needs no token.",
    )
    .argument("<digest>", "sha256:<hex>", digestArgument)
    .option("--name <file>", "what a browser saves it as (default: the digest)", fileName)
    .action((digest: string, { name = "" }: { name?: string }, self: Command) =>
      withContext(self, (context) => link(context, digest, name)),
    );
  addExamples(
    addOutputOption(command, "{digest, url, expiresAt}"),
    "attestry blob link sha256:9f86... --name sbom.json",
    'curl -o sbom.json "$(attestry blob link sha256:9f86...)"',
  );
}

async function link(context: Context, digest: string, name: string): Promise<void> {
  const purpose = { case: "download" as const, value: { digest, fileName: name } };
  const { url, token, expiresAt } = await context.caller.repeatable((call) =>
    context.services.credentials.issueCasToken({ purpose }, call),
  );
  if (url === "") throw new CommandError("PUBLIC_URL_UNSET", "the server gives no links: it has no public address");
  // A link to nothing helps nobody.
  await context.caller.repeatable(() => {
    const { signal, timeoutMs } = context.caller.options();
    return describeBlob(context.services.cas, { token, digest, signal, timeoutMs });
  });
  const expires = timeCell(expiresAt);
  await context.printJson({ digest, url, expiresAt: expires });
  await context.printLine(url);
  await context.note(`works until ${expires ?? "its token expires"}; whoever has it can read the blob`);
}
