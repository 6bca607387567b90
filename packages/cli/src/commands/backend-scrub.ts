import {
  ScrubFaultSchema,
  type ScrubPass,
  type ScrubReport,
  ScrubService,
  ScrubServiceGetReportResponseSchema,
} from "@attestry/api/cas";
import { createClient } from "@connectrpc/connect";
import type { Command } from "commander";
import { type Context, withContext } from "../context.ts";
import { CommandError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import { bytesCell, timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Column } from "../output/output.ts";
import { enumWord, plain } from "../output/plain.ts";

/** Faults that are named one by one; `-o json` has them all. */
const mostNamed = 20;

const pass =
  "{startedAt, finishedAt, position, blobsVerified, bytesVerified, corrupt, missing, repaired, findings: [{fault: corrupt | missing, digest, space, repaired, foundAt}]}";

interface Row {
  backend: string;
  pass: ScrubPass | undefined;
}

export function addBackendScrub(backend: Command): void {
  const command = backend
    .command("scrub")
    .summary("show what the scrubber found in the backends")
    .description(
      "Show how far the scrubber is, which proves what is stored time after time, and what it found in this pass and the last. Exits with 6 if there are faults that it could not repair. Needs a token with the role admin.",
    )
    .argument("[name]", "of one backend (default: all external ones)", "")
    .action((name: string, _options: unknown, self: Command) => withContext(self, (context) => show(context, name)));
  addExamples(
    addOutputOption(command, `{backends: [{backendName, current: null | PASS, last: null | PASS}]}, PASS: ${pass}`),
    "attestry backend scrub",
    "attestry backend scrub archive -o json",
  );
}

async function show(context: Context, backendName: string): Promise<void> {
  const scrubber = createClient(ScrubService, context.services.cas);
  const answer = await context.caller.repeatable((call) => scrubber.getReport({ backendName }, call));
  const rows = answer.backends.flatMap(rowsOf);
  await context.printList(plain(ScrubServiceGetReportResponseSchema, answer), columns, rows, "no external backends");
  const damaged = answer.backends.filter((report) => unrepairedIn(report) > 0);
  if (damaged.length === 0) return;
  await nameFaults(context, damaged);
  const where = damaged.map((report) => `${unrepairedIn(report)} in ${report.backendName}`).join(", ");
  throw new CommandError("BLOBS_DAMAGED", `blobs that are corrupt or missing and could not be repaired: ${where}`, {
    exitCode: exitCodes.corrupt,
  });
}

function rowsOf({ backendName, current, last }: ScrubReport): Row[] {
  const passes = [current, last].filter((found) => found !== undefined);
  return passes.length === 0
    ? [{ backend: backendName, pass: undefined }]
    : passes.map((found) => ({ backend: backendName, pass: found }));
}

/** A fault counts until a pass has come to its end without it. */
function unrepairedIn({ current, last }: ScrubReport): number {
  return Math.max(unrepaired(current), unrepaired(last));
}

function unrepaired(found: ScrubPass | undefined): number {
  return found === undefined ? 0 : Number(found.corrupt + found.missing - found.repaired);
}

async function nameFaults(context: Context, damaged: readonly ScrubReport[]): Promise<void> {
  const lines = damaged.flatMap(({ backendName, current, last }) =>
    [current, last].flatMap((found) =>
      (found?.findings ?? [])
        .filter(({ repaired }) => !repaired)
        .map(
          ({ fault, digest, space }) => `${enumWord(ScrubFaultSchema, fault)} in ${backendName}: ${digest} (${space})`,
        ),
    ),
  );
  const named = [...new Set(lines)];
  for (const line of named.slice(0, mostNamed)) await context.note(line);
  if (named.length > mostNamed) await context.note(`and ${named.length - mostNamed} more; -o json has them all`);
}

const columns: Column<Row>[] = [
  { head: "backend", cell: ({ backend }) => backend },
  { head: "pass", cell: ({ pass }) => stateOf(pass) },
  { head: "started", cell: ({ pass }) => timeCell(pass?.startedAt) },
  { head: "finished", cell: ({ pass }) => timeCell(pass?.finishedAt) },
  { head: "blobs", cell: ({ pass }) => pass && bytesCell(pass.blobsVerified) },
  { head: "bytes", cell: ({ pass }) => pass && bytesCell(pass.bytesVerified) },
  { head: "corrupt", cell: ({ pass }) => pass?.corrupt },
  { head: "missing", cell: ({ pass }) => pass?.missing },
  { head: "repaired", cell: ({ pass }) => pass?.repaired },
];

function stateOf(found: ScrubPass | undefined): string {
  if (found === undefined) return "none yet";
  return found.finishedAt === undefined ? "under way" : "finished";
}
