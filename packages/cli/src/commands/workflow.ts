import { type Workflow, WorkflowServiceListResponseSchema } from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { withContext } from "../context.ts";
import { timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Column } from "../output/output.ts";
import { plain } from "../output/plain.ts";
import { addPageOptions, fetchPages, noteMore, type PageOptions } from "../paging.ts";

export function addWorkflowCommand(program: Command): void {
  const workflow = program
    .command("workflow")
    .description("workflows: what runs again and again, named PROJECT/NAME; the first run creates one");
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
    addOutputOption(command, "{workflows: [{id, project, name, createdAt}], nextPageToken}"),
    "attestry workflow list --project web",
  );
}

const columns: Column<Workflow>[] = [
  { head: "workflow", cell: ({ project, name }) => `${project}/${name}` },
  { head: "created", cell: ({ createdAt }) => timeCell(createdAt) },
  { head: "id", cell: ({ id }) => id },
];
