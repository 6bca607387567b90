import { RunStateSchema, type Workflow, WorkflowSchema, WorkflowServiceListResponseSchema } from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { type WorkflowName, workflowName } from "../arguments.ts";
import { type Context, withContext } from "../context.ts";
import { readContract } from "../files/read-contract.ts";
import { timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Cell, Column } from "../output/output.ts";
import { enumWord, plain } from "../output/plain.ts";
import { addPageOptions, fetchPages, noteMore, type PageOptions } from "../paging.ts";

const fields =
  "id, project, name, createdAt, description, team, contract, contractRevision, runCount (10000: that many or more), lastRun: {id, state, ...} (null: none)";

export function addWorkflowCommand(program: Command): void {
  const workflow = program
    .command("workflow")
    .description("workflows: what runs again and again, named PROJECT/NAME; the first run creates one");
  addCreate(workflow);
  addList(workflow);
  addShow(workflow);
}

interface CreateOptions {
  description: string;
  team: string;
  contract: string;
  contractFile?: string;
}

function addCreate(workflow: Command): void {
  const command = workflow
    .command("create")
    .description("Create a workflow with its contract. One that is there already stays as it is.")
    .argument("<project/name>", "the workflow", workflowName)
    .option("--description <text>", "what it is for", "")
    .option("--team <name>", "whose it is", "")
    .option("--contract <name>", "a contract that is there, or what a new one is called (default: PROJECT-NAME)", "")
    .option("--contract-file <file>", "text of a new contract, or - for stdin; without it, it asks for nothing")
    .action(({ project, workflow: name }: WorkflowName, options: CreateOptions, self: Command) =>
      withContext(self, async (context) => {
        const { description, team, contract, contractFile } = options;
        const text = contractFile === undefined ? {} : { contractText: await readContract(contractFile) };
        const request = { project, name, description, team, contract, ...text };
        const answer = await context.caller.repeatable((call) =>
          context.services.workflows.findOrCreate(request, call),
        );
        await printWorkflow(context, answer.workflow);
        if (!answer.created) await context.note(`${project}/${name} was there already`);
      }),
    );
  addExamples(
    addOutputOption(command, `{${fields}}`),
    "attestry workflow create web/release --team web",
    "attestry workflow create web/release --contract web --contract-file contract.yaml",
  );
}

function addList(workflow: Command): void {
  const command = workflow
    .command("list")
    .description("List workflows, newest first.")
    .option("--project <project>", "only those of this project", "")
    .action((options: PageOptions & { project: string }, self: Command) =>
      withContext(self, async (context) => {
        const { items, nextPageToken } = await fetchPages(
          context,
          options,
          (page, call) => context.services.workflows.list({ ...page, project: options.project }, call),
          (page) => page.workflows,
        );
        const answer = create(WorkflowServiceListResponseSchema, { workflows: items, nextPageToken });
        await context.printList(plain(WorkflowServiceListResponseSchema, answer), columns, items, "no workflows");
        await noteMore(context, nextPageToken);
      }),
    );
  addPageOptions(command);
  addExamples(
    addOutputOption(command, `{workflows: [{${fields}}], nextPageToken}`),
    "attestry workflow list --project web",
  );
}

function addShow(workflow: Command): void {
  const command = workflow
    .command("show")
    .description("Show a workflow, its contract and its last run.")
    .argument("<project/name>", "the workflow", workflowName)
    .action(({ project, workflow: name }: WorkflowName, _options: unknown, self: Command) =>
      withContext(self, async (context) => {
        const answer = await context.caller.repeatable((call) =>
          context.services.workflows.get({ project, name }, call),
        );
        await printWorkflow(context, answer.workflow);
      }),
    );
  addExamples(addOutputOption(command, `{${fields}}`), "attestry workflow show web/release");
}

const columns: Column<Workflow>[] = [
  { head: "workflow", cell: ({ project, name }) => `${project}/${name}` },
  { head: "contract", cell: contractCell },
  { head: "runs", cell: runsCell },
  { head: "last run", cell: ({ lastRun }) => lastRun && enumWord(RunStateSchema, lastRun.state) },
  { head: "created", cell: ({ createdAt }) => timeCell(createdAt) },
  { head: "id", cell: ({ id }) => id },
];

async function printWorkflow(context: Context, workflow: Workflow | undefined): Promise<void> {
  const shown = workflow ?? create(WorkflowSchema);
  const { lastRun } = shown;
  await context.printObject(plain(WorkflowSchema, shown), {
    workflow: `${shown.project}/${shown.name}`,
    id: shown.id,
    description: shown.description,
    team: shown.team,
    contract: contractCell(shown),
    runs: runsCell(shown),
    "last run": lastRun && `${lastRun.id} (${enumWord(RunStateSchema, lastRun.state)})`,
    created: timeCell(shown.createdAt),
  });
}

function contractCell({ contract, contractRevision }: Workflow): Cell {
  return contract === "" ? null : `${contract} (revision ${contractRevision})`;
}

/** Where the server stops to count. */
const mostCountedRuns = 10_000;

function runsCell({ runCount }: Workflow): Cell {
  return runCount < mostCountedRuns ? runCount : `${mostCountedRuns} or more`;
}
