import {
  type SignerPattern,
  type TrustServiceGetResponse,
  TrustServiceGetResponseSchema,
  TrustServiceSetResponseSchema,
} from "@attestry/api/run";
import { type Command, Option } from "commander";
import { positiveInteger } from "../arguments.ts";
import { withContext } from "../context.ts";
import { timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Cell } from "../output/output.ts";
import { plain } from "../output/plain.ts";
import { addTrustOptions, type TrustOptions, trustPolicyOf } from "../trust-options.ts";

export function addTrustCommand(program: Command): void {
  const trust = program
    .command("trust")
    .description("whom the organization trusts to sign: used by Store while its verification mode is trusted");
  addShow(trust);
  addSet(trust);
}

function organizationOption(): Option {
  return new Option("--org <name>", "the organization; the token's own if left out").default("", "its own");
}

function addShow(trust: Command): void {
  const command = trust
    .command("show")
    .description("Show the trust policy in force, or an earlier revision of it.")
    .addOption(organizationOption())
    .option("--revision <n>", "this revision", positiveInteger)
    .action((options: { org: string; revision?: number }, self: Command) =>
      withContext(self, async (context) => {
        const request = { organization: options.org, revision: options.revision ?? 0 };
        const answer = await context.caller.repeatable((call) => context.services.trust.get(request, call));
        await context.printObject(plain(TrustServiceGetResponseSchema, answer), policyCells(answer));
      }),
    );
  const policy =
    "trustedRoots, certificateAuthorities, publicKeys (texts), transparencyLogThreshold, timestampThreshold, signers: [{subject, issuer}]";
  addExamples(addOutputOption(command, `{policy: {${policy}}, revision, setAt}`), "attestry trust show -o json");
}

function addSet(trust: Command): void {
  const command = trust
    .command("set")
    .description(
      "Set the trust policy as a whole, from files. It is the next revision, in force for the next Store if the organization's verification mode is trusted (attestry org update --verification trusted). Needs an admin's token.",
    )
    .addOption(organizationOption())
    .action((options: TrustOptions & { org: string }, self: Command) =>
      withContext(self, async (context) => {
        const request = { organization: options.org, policy: await trustPolicyOf(options) };
        const answer = await context.caller.repeatable((call) => context.services.trust.set(request, call));
        await context.printObject(plain(TrustServiceSetResponseSchema, answer), { revision: answer.revision });
        const note = openNoteOf(options);
        if (note !== undefined) await context.note(note);
      }),
    );
  addExamples(
    addOutputOption(addTrustOptions(command), "{revision}"),
    "attestry trust set --ca ca.pem",
    "attestry trust set --trusted-root trusted_root.json --log-threshold 1 --signer 'https://github.com/acme/*' --issuer https://token.actions.githubusercontent.com",
  );
}

/** What is to be said of a policy that trusts whomever its authorities give a certificate; keys are their holders' alone. */
function openNoteOf({ trustedRoot, ca, signer, issuer }: TrustOptions): string | undefined {
  if (signer !== undefined || (trustedRoot ?? ca) === undefined) return undefined;
  const who =
    issuer === undefined ? "any signer of these authorities" : "any signer of these authorities by that issuer";
  return `${who} is trusted (of Sigstore's public good instance: anybody with an account); --signer PATTERN narrows it`;
}

function policyCells({ policy, revision, setAt }: TrustServiceGetResponse): Record<string, Cell> {
  return {
    revision,
    set: timeCell(setAt),
    "trusted roots": policy?.trustedRoots.length,
    "certificate authorities": policy?.certificateAuthorities.length,
    "public keys": policy?.publicKeys.length,
    "log entries needed": policy?.transparencyLogThreshold,
    "timestamps needed": policy?.timestampThreshold,
    signers: signersCell(policy?.signers ?? []),
  };
}

function signersCell(signers: readonly SignerPattern[]): string {
  return signers.length === 0 ? "any" : signers.map(({ subject, issuer }) => `${subject} by ${issuer}`).join(", ");
}
