import {
  type CollectedBlob,
  GcOutcome,
  GcOutcomeSchema,
  GcServiceCollectResponseSchema,
  GcServiceListResponseSchema,
  type UnusedBlob,
} from "@attestry/api/ingest";
import { create } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { type Context, transferTimeoutMs, withContext } from "../context.ts";
import { CommandError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import { timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Column } from "../output/output.ts";
import { enumWord, plain } from "../output/plain.ts";
import { fetchPages } from "../paging.ts";

const all = { limit: Number.POSITIVE_INFINITY };

export function addGcCommand(program: Command): void {
  const command = program
    .command("gc")
    .description(
      "Find bundles in backends that no attestation refers to, untouched for 24 h, as failed Stores leave them. " +
        "They are harmless. Without --delete nothing is changed. Needs an admin's token.",
    )
    .option("--delete", "delete them")
    .action((options: { delete?: boolean }, self: Command) =>
      withContext(self, (context) => (options.delete === true ? collect(context) : report(context)), transferTimeoutMs),
    );
  addExamples(
    addOutputOption(
      command,
      "{blobs: [{digest, backendId, touchedAt, referred}], nextPageToken}, with --delete [{digest, backendId, outcome, error}]",
    ),
    "attestry gc",
    "attestry gc --delete",
  );
}

async function report(context: Context): Promise<void> {
  const { items: blobs } = await fetchPages(
    context,
    all,
    (page, call) => context.services.gc.list(page, call),
    (page) => page.blobs,
  );
  const answer = create(GcServiceListResponseSchema, { blobs });
  await context.printList(plain(GcServiceListResponseSchema, answer), unusedColumns, blobs, "nothing is unused");
  const unused = blobs.filter(({ referred }) => !referred).length;
  if (unused > 0) await context.note(`${unused} unused; nothing was deleted: attestry gc --delete does so`);
}

async function collect(context: Context): Promise<void> {
  const { items: blobs } = await fetchPages(
    context,
    all,
    (page, call) => context.services.gc.collect(page, call),
    (page) => page.blobs,
  );
  const answer = create(GcServiceCollectResponseSchema, { blobs });
  await context.printList(plain(GcServiceCollectResponseSchema, answer), collectedColumns, blobs, "nothing is unused");
  const failed = blobs.filter(({ outcome }) => outcome === GcOutcome.FAILED).length;
  if (failed === 0) return;
  throw new CommandError("GC_INCOMPLETE", `${failed} could not be deleted; run it again in five minutes`, {
    exitCode: exitCodes.unavailable,
  });
}

const unusedColumns: Column<UnusedBlob>[] = [
  { head: "digest", cell: ({ digest }) => digest },
  { head: "backend", cell: ({ backendId }) => backendId },
  { head: "touched", cell: ({ touchedAt }) => timeCell(touchedAt) },
  { head: "gc would", cell: ({ referred }) => (referred ? "keep" : "delete") },
];

const collectedColumns: Column<CollectedBlob>[] = [
  { head: "digest", cell: ({ digest }) => digest },
  { head: "backend", cell: ({ backendId }) => backendId },
  { head: "outcome", cell: ({ outcome }) => enumWord(GcOutcomeSchema, outcome) },
  { head: "error", cell: ({ error }) => error },
];
