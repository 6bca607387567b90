import { AttestationServiceListResponseSchema } from "@attestry/api/ingest";
import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { subjectDigest, time, type WorkflowName, workflowFilter } from "../arguments.ts";
import { withContext } from "../context.ts";
import { attestationColumns, attestationFields } from "../output/attestations.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { plain } from "../output/plain.ts";
import { addPageOptions, fetchPages, noteMore, type PageOptions } from "../paging.ts";

interface ListOptions extends PageOptions {
  subject: string;
  material: string;
  predicateType: string;
  workflow?: WorkflowName;
  since?: Timestamp;
  until?: Timestamp;
}

export function addListCommand(program: Command): void {
  const command = program
    .command("list")
    .summary("list attestations, newest first")
    .description("List attestations, newest first.")
    .option(
      "--subject <algorithm:value>",
      "only those with this subject digest, as in the statement: sha256:..., gitCommit:...",
      subjectDigest,
      "",
    )
    .option(
      "--material <algorithm:value>",
      "only those whose Chainloop predicate names this material: sha256:...",
      subjectDigest,
      "",
    )
    .option("--predicate-type <uri>", "only those of this predicate type", "")
    .option("--workflow <project[/name]>", "only those of this project or workflow", workflowFilter)
    .option("--since <time>", "received at or after: 2026-11-24, 2026-11-24T10:00:00Z, or 24h ago", time)
    .option("--until <time>", "received before", time)
    .action((options: ListOptions, self: Command) =>
      withContext(self, async (context) => {
        const filters = {
          subjectDigest: options.subject,
          materialDigest: options.material,
          predicateType: options.predicateType,
          ...options.workflow,
          ...(options.since && { receivedAfter: options.since }),
          ...(options.until && { receivedBefore: options.until }),
        };
        const { items, nextPageToken } = await fetchPages(
          context,
          options,
          (page, call) => context.services.attestations.list({ ...filters, ...page }, call),
          (page) => page.attestations,
        );
        const answer = create(AttestationServiceListResponseSchema, { attestations: items, nextPageToken });
        await context.printList(
          plain(AttestationServiceListResponseSchema, answer),
          attestationColumns,
          items,
          "no attestations",
        );
        await noteMore(context, nextPageToken);
      }),
    );
  addPageOptions(command);
  addExamples(
    addOutputOption(command, `{attestations: [{${attestationFields}}], nextPageToken}`),
    "attestry list --subject sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "attestry list --workflow web/release --since 7d -o json",
  );
}
