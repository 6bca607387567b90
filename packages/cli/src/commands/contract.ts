import {
  type Contract,
  ContractFormatSchema,
  ContractRevisionSchema,
  ContractSchema,
  type ContractServiceGetResponse,
  ContractServiceListResponseSchema,
} from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import { positiveInteger } from "../arguments.ts";
import { type Context, withContext } from "../context.ts";
import { UsageError } from "../errors.ts";
import { readContract } from "../files/read-contract.ts";
import { bytesCell, timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Cell, Column } from "../output/output.ts";
import { enumWord, plain } from "../output/plain.ts";
import { write } from "../output/write.ts";
import { addPageOptions, fetchPages, noteMore, type PageOptions } from "../paging.ts";

const fields =
  "id, name, project (empty: of any), description, createdAt, updatedAt, latestRevision, latestRevisionCreatedAt, workflows: [{id, project, name}]";
const withRevision = `{contract: {${fields}}, revision: {id, revision, createdAt, text, format}}`;

export function addContractCommand(program: Command): void {
  const contract = program
    .command("contract")
    .description("contracts: what the attestations of a workflow are to hold; each change of a text is a revision");
  addCreate(contract);
  addList(contract);
  addShow(contract);
  addUpdate(contract);
}

function addCreate(contract: Command): void {
  const command = contract
    .command("create")
    .description("Create a contract.")
    .argument("<name>", "letters, digits, '.', '_' and '-'")
    .argument("[file]", "its text, JSON or YAML, or - for stdin; without it, the contract asks for nothing")
    .option("--project <project>", "only workflows of this project may have it", "")
    .option("--description <text>", "what it is for", "")
    .action(
      (name: string, file: string | undefined, options: { project: string; description: string }, self: Command) =>
        withContext(self, async (context) => {
          const { project, description } = options;
          const text = file === undefined ? {} : { text: await readContract(file) };
          const request = { name, project, description, ...text };
          const answer = await context.caller.once((call) => context.services.contracts.create(request, call));
          await printContract(context, answer);
        }),
    );
  addExamples(
    addOutputOption(command, withRevision),
    "attestry contract create web contract.yaml --project web",
    "attestry contract create nothing-asked",
  );
}

function addList(contract: Command): void {
  const command = contract
    .command("list")
    .description("List contracts, newest first.")
    .option("--project <project>", "only those that are for workflows of this project alone", "")
    .action((options: PageOptions & { project: string }, self: Command) =>
      withContext(self, async (context) => {
        const { items, nextPageToken } = await fetchPages(
          context,
          options,
          (page, call) => context.services.contracts.list({ ...page, project: options.project }, call),
          (page) => page.contracts,
        );
        const answer = create(ContractServiceListResponseSchema, { contracts: items, nextPageToken });
        await context.printList(plain(ContractServiceListResponseSchema, answer), columns, items, "no contracts");
        await noteMore(context, nextPageToken);
      }),
    );
  addPageOptions(command);
  addExamples(addOutputOption(command, `{contracts: [{${fields}}], nextPageToken}`), "attestry contract list");
}

function addShow(contract: Command): void {
  const command = contract
    .command("show")
    .description(
      "Print the text of a contract, byte for byte as it was given; with -o table or json what is known of it.",
    )
    .argument("<name>", "the contract")
    .option("--revision <n>", "this revision (default: the latest)", positiveInteger)
    .addOption(
      new Option("-o, --output <format>", "form of the answer").choices(["text", "table", "json"]).default("text"),
    )
    .addHelpText("after", `\nJSON: ${withRevision}`)
    .action((name: string, options: { revision?: number; output: string }, self: Command) =>
      withContext(self, async (context) => {
        const request = { name, revision: options.revision ?? 0 };
        const answer = await context.caller.repeatable((call) => context.services.contracts.get(request, call));
        if (options.output === "text") await write(process.stdout, answer.revision?.text ?? "");
        else await printContract(context, answer);
      }),
    );
  addExamples(command, "attestry contract show web > contract.yaml", "attestry contract show web --revision 2 -o json");
}

function addUpdate(contract: Command): void {
  const command = contract
    .command("update")
    .description(
      "Give a contract another text or description. A text that differs from the latest is the next revision.",
    )
    .argument("<name>", "the contract")
    .argument("[file]", "its new text, JSON or YAML, or - for stdin")
    .option("--description <text>", "what it is for")
    .action((name: string, file: string | undefined, { description }: { description?: string }, self: Command) =>
      withContext(self, async (context) => {
        if (file === undefined && description === undefined)
          throw new UsageError("give a file, --description, or both");
        const text = file === undefined ? {} : { text: await readContract(file) };
        const request = { name, ...text, ...(description !== undefined && { description }) };
        const answer = await context.caller.repeatable((call) => context.services.contracts.update(request, call));
        await printContract(context, answer);
        if (file !== undefined && !answer.changed) await context.note("the text was the latest already");
      }),
    );
  addExamples(addOutputOption(command, withRevision), "attestry contract update web contract.yaml");
}

const columns: Column<Contract>[] = [
  { head: "name", cell: ({ name }) => name },
  { head: "project", cell: projectCell },
  { head: "revision", cell: ({ latestRevision }) => latestRevision },
  { head: "revised", cell: ({ latestRevisionCreatedAt }) => timeCell(latestRevisionCreatedAt) },
  { head: "workflows", cell: workflowsCell },
  { head: "id", cell: ({ id }) => id },
];

async function printContract(
  context: Context,
  { contract, revision }: Pick<ContractServiceGetResponse, "contract" | "revision">,
): Promise<void> {
  const shown = contract ?? create(ContractSchema);
  const json = {
    contract: plain(ContractSchema, shown),
    revision: revision && { ...plain(ContractRevisionSchema, revision), text: Buffer.from(revision.text).toString() },
  };
  await context.printObject(json, {
    contract: shown.name,
    id: shown.id,
    project: projectCell(shown),
    description: shown.description,
    revision: revision?.revision,
    "latest revision": shown.latestRevision,
    format: revision && enumWord(ContractFormatSchema, revision.format),
    size: revision && `${bytesCell(revision.text.length)} bytes`,
    revised: timeCell(revision?.createdAt),
    workflows: workflowsCell(shown),
    created: timeCell(shown.createdAt),
  });
}

function projectCell({ project }: Contract): Cell {
  return project === "" ? "any" : project;
}

function workflowsCell({ workflows }: Contract): Cell {
  const [first, ...more] = workflows;
  if (first === undefined) return null;
  const name = `${first.project}/${first.name}`;
  return more.length === 0 ? name : `${name} and ${more.length} more`;
}
