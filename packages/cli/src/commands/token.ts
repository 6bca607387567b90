import { type Role, RoleSchema, type Token, TokenSchema, TokenServiceListResponseSchema } from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import { durationOrNever } from "../arguments.ts";
import { withContext } from "../context.ts";
import { timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Cell, Column } from "../output/output.ts";
import { enumValue, enumWord, enumWords, plain } from "../output/plain.ts";
import { addPageOptions, fetchPages, noteMore, type PageOptions } from "../paging.ts";
import { addTokenExchange } from "./token-exchange.ts";

const fields = "id, name, role, instanceAdmin, createdAt, expiresAt, revokedAt, lastUsedAt, forChainloop";

/** A token that somebody forgets ends by itself. */
const defaultLifetimeMs = 90 * 86_400_000;

export function addTokenCommand(program: Command): void {
  const token = program.command("token").description("API tokens: make, list and revoke them");
  addCreate(token);
  addList(token);
  addRevoke(token);
  addTokenExchange(token);
}

interface CreateOptions {
  name: string;
  role: string;
  expires: number;
  org: string;
  chainloop?: boolean;
}

function addCreate(token: Command): void {
  const command = token
    .command("create")
    .description("Make a token. Its secret is shown once, here.")
    .requiredOption("--name <name>", "its name, unique among tokens that are not revoked")
    .addOption(
      new Option("--role <role>", "admin: all within the organization; ci: runs, store and reading; reader: reading")
        .choices(enumWords(RoleSchema))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--expires <duration>", "how long it is good, for example 30d, or never")
        .argParser(durationOrNever)
        .default(defaultLifetimeMs, "90d"),
    )
    .option("--org <name>", "another organization (needs an instance admin's token)", "")
    .option("--chainloop", "in the shape that the chainloop command line reads; otherwise as any other")
    .action((options: CreateOptions, self: Command) =>
      withContext(self, async (context) => {
        const request = {
          name: options.name,
          ...roleOf(options.role),
          lifetimeSeconds: BigInt(Math.ceil(options.expires / 1000)),
          organization: options.org,
          forChainloop: options.chainloop === true,
        };
        const { token: made, secret } = await context.caller.once((call) =>
          context.services.tokens.create(request, call),
        );
        const shown = made ?? create(TokenSchema);
        await context.printObject({ ...plain(TokenSchema, shown), secret }, { ...fieldsOf(shown), secret });
      }),
    );
  addExamples(
    addOutputOption(command, `{${fields}, secret}`),
    "attestry token create --name github --role ci --expires 90d",
    "attestry token create --name pipeline --role ci --chainloop",
    "export ATTESTRY_TOKEN=$(attestry token create --name me --role reader -o json | jq -r .secret)",
  );
}

function addList(token: Command): void {
  const command = token
    .command("list")
    .description("List the organization's tokens, newest first, without their secrets.")
    .action((options: PageOptions, self: Command) =>
      withContext(self, async (context) => {
        const { items, nextPageToken } = await fetchPages(
          context,
          options,
          (page, call) => context.services.tokens.list(page, call),
          (page) => page.tokens,
        );
        const answer = create(TokenServiceListResponseSchema, { tokens: items, nextPageToken });
        await context.printList(plain(TokenServiceListResponseSchema, answer), columns, items, "no tokens");
        await noteMore(context, nextPageToken);
      }),
    );
  addPageOptions(command);
  addExamples(addOutputOption(command, `{tokens: [{${fields}}], nextPageToken}`), "attestry token list");
}

function addRevoke(token: Command): void {
  const command = token
    .command("revoke")
    .description("Revoke a token: every service refuses it within 10 s. Revoking it again is no fault.")
    .argument("<id|name>", "the token")
    .action((idOrName: string, _options: unknown, self: Command) =>
      withContext(self, async (context) => {
        const answer = await context.caller.repeatable((call) =>
          context.services.tokens.revoke({ token: idOrName }, call),
        );
        const shown = answer.token ?? create(TokenSchema);
        await context.printObject(plain(TokenSchema, shown), {
          ...fieldsOf(shown),
          revoked: timeCell(shown.revokedAt),
        });
      }),
    );
  addExamples(addOutputOption(command, `{${fields}}`), "attestry token revoke github");
}

const columns: Column<Token>[] = [
  { head: "name", cell: ({ name }) => name },
  { head: "role", cell: roleCell },
  { head: "created", cell: ({ createdAt }) => timeCell(createdAt) },
  { head: "expires", cell: ({ expiresAt }) => timeCell(expiresAt) ?? "never" },
  { head: "last used", cell: ({ lastUsedAt }) => timeCell(lastUsedAt) },
  { head: "revoked", cell: ({ revokedAt }) => timeCell(revokedAt) },
  { head: "for", cell: ({ forChainloop }) => (forChainloop ? "chainloop" : undefined) },
  { head: "id", cell: ({ id }) => id },
];

function fieldsOf(token: Token): Record<string, Cell> {
  return { name: token.name, role: roleCell(token), expires: timeCell(token.expiresAt) ?? "never", id: token.id };
}

function roleCell({ role, instanceAdmin }: Token): string {
  return `${enumWord(RoleSchema, role)}${instanceAdmin ? " (instance admin)" : ""}`;
}

function roleOf(word: string): { role?: Role } {
  const role = enumValue<Role>(RoleSchema, word);
  return role === undefined ? {} : { role };
}
