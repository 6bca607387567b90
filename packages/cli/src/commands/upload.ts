import {
  type Upload,
  UploadServiceListResponseSchema,
  UploadServiceRetryResponseSchema,
  UploadState,
  UploadStateSchema,
} from "@attestry/api/ingest";
import { create } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import { digest } from "../arguments.ts";
import { withContext } from "../context.ts";
import { UsageError } from "../errors.ts";
import { bytesCell, timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Column } from "../output/output.ts";
import { enumValue, enumWord, enumWords, plain } from "../output/plain.ts";
import { addPageOptions, fetchPages, noteMore, type PageOptions } from "../paging.ts";

export function addUploadCommand(program: Command): void {
  const upload = program
    .command("upload")
    .description("uploads of bundles to external backends: what is queued or failing");
  addList(upload);
  addRetry(upload);
}

function addList(upload: Command): void {
  const command = upload
    .command("list")
    .description("List uploads that are not confirmed, or those of one state, newest first.")
    .addOption(new Option("--state <state>", "only those in this state").choices(enumWords(UploadStateSchema)))
    .action((options: PageOptions & { state?: string }, self: Command) =>
      withContext(self, async (context) => {
        const state =
          options.state === undefined ? undefined : enumValue<UploadState>(UploadStateSchema, options.state);
        const { items, nextPageToken } = await fetchPages(
          context,
          options,
          (page, call) => context.services.uploads.list({ ...page, ...(state !== undefined && { state }) }, call),
          (page) => page.uploads,
        );
        const answer = create(UploadServiceListResponseSchema, { uploads: items, nextPageToken });
        const none = state === undefined ? "no unconfirmed uploads" : "no uploads";
        await context.printList(plain(UploadServiceListResponseSchema, answer), columns, items, none);
        await noteMore(context, nextPageToken);
      }),
    );
  addPageOptions(command);
  const fields =
    "digest, runId, backendId, state, attempts, nextAttemptAt, lastError, createdAt, confirmedAt, sizeBytes";
  addExamples(
    addOutputOption(command, `{uploads: [{${fields}}], nextPageToken}`),
    "attestry upload list",
    "attestry upload list --state given-up -o json",
  );
}

function addRetry(upload: Command): void {
  const command = upload
    .command("retry")
    .description(
      "Make uploads due at once: those of one attestation, or all that fail or were given up. Needs an admin's token.",
    )
    .argument("[digest]", "the attestation", digest)
    .option("--all", "all of the organization's that fail or were given up")
    .action((ofDigest: string | undefined, options: { all?: boolean }, self: Command) =>
      withContext(self, async (context) => {
        if ((ofDigest === undefined) !== (options.all === true)) throw new UsageError("give either a digest or --all");
        const which =
          ofDigest === undefined ? { case: "all" as const, value: true } : { case: "digest" as const, value: ofDigest };
        const answer = await context.caller.repeatable((call) => context.services.uploads.retry({ which }, call));
        await context.printObject(plain(UploadServiceRetryResponseSchema, answer), {
          retried: `${answer.retried}, due now; a backend that fails is tried within 15 s`,
        });
      }),
    );
  addExamples(addOutputOption(command, "{retried: how many are due now}"), "attestry upload retry --all");
}

const columns: Column<Upload>[] = [
  { head: "digest", cell: ({ digest }) => digest },
  { head: "state", cell: ({ state }) => enumWord(UploadStateSchema, state) },
  { head: "attempts", cell: ({ attempts }) => attempts },
  { head: "next attempt", cell: nextCell },
  { head: "bytes", cell: ({ sizeBytes }) => bytesCell(sizeBytes) },
  { head: "backend", cell: ({ backendId }) => backendId },
  { head: "run", cell: ({ runId }) => runId },
  { head: "last error", cell: ({ lastError }) => lastError },
];

/** One that is confirmed has none, whatever its row says. */
function nextCell({ state, nextAttemptAt }: Upload): string | null {
  return state === UploadState.CONFIRMED ? null : timeCell(nextAttemptAt);
}
