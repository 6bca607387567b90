import { TokenSchema } from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { withContext } from "../context.ts";
import { findIdToken } from "../id-token.ts";
import { timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { plain } from "../output/plain.ts";

interface ExchangeOptions {
  org: string;
  audience: string;
  idTokenFile?: string;
}

export function addTokenExchange(token: Command): void {
  const command = token
    .command("exchange")
    .description(
      "In a CI job: exchange the ID token of the CI system for a short-lived token, by a rule of `attestry federation`. " +
        "The ID token comes from --id-token-file, else from ATTESTRY_ID_TOKEN (GitLab), else from GitHub Actions.",
    )
    .requiredOption("--org <name>", "the organization whose rules are tried")
    .option("--audience <text>", "what GitHub is asked for; the rule has the same", "attestry")
    .option("--id-token-file <file>", "a file that holds the ID token")
    .action(({ org, audience, idTokenFile }: ExchangeOptions, self: Command) =>
      withContext(self, async (context) => {
        const idToken = await findIdToken({ audience, file: idTokenFile });
        const { token: made, secret } = await context.caller.once((call) =>
          context.services.federation.exchange({ organization: org, idToken }, call),
        );
        const shown = made ?? create(TokenSchema);
        const fields = { name: shown.name, expires: timeCell(shown.expiresAt), id: shown.id, secret };
        await context.printObject({ ...plain(TokenSchema, shown), secret }, fields);
      }),
    );
  addExamples(
    addOutputOption(
      command,
      "{id, name, role, instanceAdmin, createdAt, expiresAt, revokedAt, lastUsedAt, forChainloop, secret}",
    ),
    "export ATTESTRY_TOKEN=$(attestry token exchange --org acme -o json | jq -r .secret)",
  );
}
