import { type ProjectVersion, ProjectVersionSchema } from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { type Context, withContext } from "../context.ts";
import { timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { plain } from "../output/plain.ts";

const fields = "id, version, prerelease, createdAt, releasedAt (null: not released), latest";

export function addProjectCommand(program: Command): void {
  const project = program
    .command("project")
    .description("versions of projects: what runs are of (attestry run start --project-version)");
  addVersion(project);
  addRelease(project);
}

function addVersion(project: Command): void {
  const command = project
    .command("version")
    .description("Show a version of a project.")
    .argument("<project>", "the project")
    .argument("[version]", "the latest if left out")
    .action((name: string, version: string | undefined, _options: unknown, self: Command) =>
      withContext(self, async (context) => {
        const request = { project: name, version: version ?? "" };
        const answer = await context.caller.repeatable((call) => context.services.projects.getVersion(request, call));
        await printVersion(context, name, answer.version);
      }),
    );
  addExamples(addOutputOption(command, `{${fields}}`), "attestry project version web");
}

function addRelease(project: Command): void {
  const command = project
    .command("release")
    .description("Mark a version of a project as released, for good. To do so again is no fault.")
    .argument("<project>", "the project")
    .argument("<version>", "the version")
    .action((name: string, version: string, _options: unknown, self: Command) =>
      withContext(self, async (context) => {
        const request = { project: name, version };
        const answer = await context.caller.repeatable((call) =>
          context.services.projects.releaseVersion(request, call),
        );
        await printVersion(context, name, answer.version);
      }),
    );
  addExamples(addOutputOption(command, `{${fields}}`), "attestry project release web 2.1.0");
}

async function printVersion(context: Context, project: string, version: ProjectVersion | undefined): Promise<void> {
  const shown = version ?? create(ProjectVersionSchema);
  await context.printObject(plain(ProjectVersionSchema, shown), {
    project,
    version: shown.version,
    id: shown.id,
    latest: shown.latest,
    released: timeCell(shown.releasedAt),
    created: timeCell(shown.createdAt),
  });
}
