import {
  type FederationRule,
  FederationRuleSchema,
  FederationServiceListResponseSchema,
  Role,
  RoleSchema,
} from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import { type Command, InvalidArgumentError, Option } from "commander";
import { duration } from "../arguments.ts";
import { withContext } from "../context.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Cell, Column } from "../output/output.ts";
import { enumValue, enumWord, plain } from "../output/plain.ts";

const fields = "id, name, issuer, audience, conditions: [{claim, pattern}], role, lifetimeSeconds, createdAt";

export function addFederationCommand(program: Command): void {
  const federation = program
    .command("federation")
    .description("Rules by which CI jobs get tokens for the ID tokens of their CI system, without a secret");
  addAdd(federation);
  addList(federation);
  addRemove(federation);
}

interface AddOptions {
  issuer: string;
  audience: string;
  claim: [string, string][];
  role: string;
  lifetime: number;
}

function addAdd(federation: Command): void {
  const command = federation
    .command("add")
    .description("Make a rule: who has an ID token like this may exchange it for a short-lived token.")
    .argument("<name>", "its name; those of the tokens begin with it")
    .requiredOption("--issuer <url>", "the `iss` of the ID tokens, exactly")
    .requiredOption("--audience <text>", "the `aud` that the job asks for")
    .addOption(
      new Option("--claim <name=value>", "a claim and its whole value, `*` for any characters; all given must hold")
        .argParser(addClaim)
        .makeOptionMandatory(),
    )
    .addOption(new Option("--role <role>", "of the tokens").choices(["ci", "reader"]).makeOptionMandatory())
    .addOption(
      new Option("--lifetime <duration>", "of the tokens, 1m to 1h").argParser(duration).default(900_000, "15m"),
    )
    .action((name: string, { claim, lifetime, role, ...rest }: AddOptions, self: Command) =>
      withContext(self, async (context) => {
        const rule = {
          ...{ name, ...rest, role: enumValue<Role>(RoleSchema, role) ?? Role.UNSPECIFIED },
          conditions: claim.map(([of, pattern]) => ({ claim: of, pattern })),
          lifetimeSeconds: BigInt(Math.ceil(lifetime / 1_000)),
        };
        const answer = await context.caller.once((call) => context.services.federation.create({ rule }, call));
        const made = answer.rule ?? create(FederationRuleSchema);
        await context.printObject(plain(FederationRuleSchema, made), fieldsOf(made));
        if (!claim.some(saysWhose)) await context.note(openNote(rest.issuer));
      }),
    );
  addExamples(
    addOutputOption(command, `{${fields}}`),
    "attestry federation add release --issuer https://token.actions.githubusercontent.com --audience attestry --role ci --claim repository=acme/app --claim 'ref=refs/heads/*'",
    "attestry federation add gitlab --issuer https://gitlab.com --audience attestry --role ci --claim project_path=acme/app --claim ref_protected=true",
  );
}

function addList(federation: Command): void {
  const command = federation
    .command("list")
    .description("List the organization's rules, in the order in which they are tried.")
    .action((_options: unknown, self: Command) =>
      withContext(self, async (context) => {
        const answer = await context.caller.repeatable((call) => context.services.federation.list({}, call));
        const json = plain(FederationServiceListResponseSchema, answer);
        await context.printList(json, columns, answer.rules, "no rules");
      }),
    );
  addExamples(addOutputOption(command, `{rules: [{${fields}}]}`), "attestry federation list");
}

function addRemove(federation: Command): void {
  const command = federation
    .command("remove")
    .description("Remove a rule, and revoke the tokens that it gave: they are refused within 10 s.")
    .argument("<name>", "the rule")
    .action((name: string, _options: unknown, self: Command) =>
      withContext(self, async (context) => {
        await context.caller.once((call) => context.services.federation.delete({ name }, call));
        await context.printObject({ removed: name }, { removed: name });
      }),
    );
  addExamples(addOutputOption(command, "{removed}"), "attestry federation remove release");
}

/** One more `NAME=VALUE`. */
function addClaim(text: string, before: [string, string][] = []): [string, string][] {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Expected NAME=VALUE, for example repository=acme/app.");
  return [...before, [text.slice(0, at), text.slice(at + 1)]];
}

/** Claims that say whose pipeline a job is of, as GitHub and GitLab name them, and `sub`, which every ID token has. */
const whose: ReadonlySet<string> = new Set([
  "sub",
  ...["repository", "repository_id", "repository_owner", "repository_owner_id", "job_workflow_ref"],
  ...["project_path", "project_id", "namespace_path", "namespace_id"],
]);

// Whatever the issuer: what its tokens do not have lets nobody in, and a GitLab or a GitHub of one's own has an address of
// its own. A pattern of asterisks lets any value through.
function saysWhose([name, pattern]: [string, string]): boolean {
  return whose.has(name) && /[^*]/.test(pattern);
}

/** The best of them: names can be given up and taken by others, ids cannot. */
const lasting: ReadonlyMap<string, string> = new Map([
  ["https://token.actions.githubusercontent.com", "repository_id or repository_owner_id"],
  ["https://gitlab.com", "project_id or namespace_id"],
]);

function openNote(issuer: string): string {
  return `no claim says whose pipeline it is: whoever gets an ID token of ${issuer} gets one of these tokens, if the claims given hold; add one such as ${lasting.get(issuer) ?? "sub"}`;
}

const columns: Column<FederationRule>[] = [
  { head: "name", cell: ({ name }) => name },
  { head: "role", cell: ({ role }) => enumWord(RoleSchema, role) },
  { head: "issuer", cell: ({ issuer }) => issuer },
  { head: "audience", cell: ({ audience }) => audience },
  { head: "claims", cell: claimsCell },
  { head: "lifetime", cell: lifetimeCell },
];

function fieldsOf(rule: FederationRule): Record<string, Cell> {
  return Object.fromEntries(columns.map(({ head, cell }) => [head, cell(rule)]));
}

function claimsCell({ conditions }: FederationRule): string {
  return conditions.map(({ claim, pattern }) => `${claim}=${pattern}`).join(" ");
}

function lifetimeCell({ lifetimeSeconds }: FederationRule): string {
  return `${lifetimeSeconds}s`;
}
