import { setTimeout as sleep } from "node:timers/promises";
import type { MigrationServiceGetProgressResponse } from "@attestry/api/ingest";
import type { Command } from "commander";
import { type Context, transferTimeoutMs, withContext } from "../context.ts";
import { CommandError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import { bytesCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { startProgress } from "../output/progress.ts";

const pollMs = 500;

interface Backends {
  fromBackendId: string;
  toBackendId: string;
}

interface Queued {
  attestations: number;
  sizeBytes: number;
  queued: number;
}

export function addBackendMigrate(backend: Command): void {
  const command = backend
    .command("migrate")
    .description(
      "Copy the bundles of all attestations that one backend has to another, which verifies each. The first keeps its own, " +
        "and reads find either. The copying is done by the service: it goes on when this command ends, and run again " +
        "the command shows how far it is. Materials (blobs of clients) are not copied. Needs an admin's token.",
    )
    .argument("<from>", "the backend that has them")
    .argument("<to>", "the backend that is to have them too; an external one")
    .option("--no-wait", "queue them, and do not wait until they are copied")
    .action((from: string, to: string, options: { wait: boolean }, self: Command) =>
      withContext(self, (context) => migrate(context, from, to, options.wait), transferTimeoutMs),
    );
  addExamples(
    addOutputOption(command, "{from, to, attestations, sizeBytes, queued, copied}"),
    "attestry backend migrate local archive",
  );
}

async function migrate(context: Context, from: string, to: string, wait: boolean): Promise<void> {
  const { backends, stillDefault } = await findBackends(context, from, to);
  const queued = await queueAll(context, backends);
  const left = wait ? await untilCopied(context, backends, queued) : await progressOf(context, backends);
  const copied = queued.attestations - openOf(left);
  const { attestations, sizeBytes } = queued;
  await context.printObject(
    { from, to, attestations, sizeBytes, queued: queued.queued, copied },
    { from, to, attestations, bytes: bytesCell(BigInt(sizeBytes)), "newly queued": queued.queued, copied },
  );
  if (stillDefault) await context.note(`new runs still go to ${from}: attestry backend default ${to} changes that`);
  if (left.givenUp === 0n) return;
  throw new CommandError(
    "MIGRATION_INCOMPLETE",
    `${left.givenUp} bundles were tried for days and given up: ${left.lastError}; attestry upload retry --all tries them again`,
    { exitCode: exitCodes.unavailable },
  );
}

async function findBackends(context: Context, from: string, to: string) {
  const { backends } = await context.caller.repeatable((call) => context.services.backends.list({}, call));
  const named = (name: string) => {
    const found = backends.find((backend) => backend.name === name);
    if (found !== undefined) return found;
    const names = backends.map((backend) => backend.name).join(", ");
    throw new CommandError("BACKEND_NOT_FOUND", `there is no backend ${name}; there are: ${names}`);
  };
  const first = named(from);
  return { backends: { fromBackendId: first.id, toBackendId: named(to).id }, stillDefault: first.isDefault };
}

async function queueAll(context: Context, backends: Backends): Promise<Queued> {
  const all: Queued = { attestations: 0, sizeBytes: 0, queued: 0 };
  let pageToken = "";
  do {
    const page = await context.caller.repeatable((call) =>
      context.services.migrations.queue({ ...backends, pageToken }, call),
    );
    all.attestations += page.attestations;
    all.sizeBytes += Number(page.sizeBytes);
    all.queued += page.queued;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return all;
}

/** Until nothing of it is queued any more, apart from what was given up. */
async function untilCopied(
  context: Context,
  backends: Backends,
  { sizeBytes }: Queued,
): Promise<MigrationServiceGetProgressResponse> {
  const bar = startProgress("copied", sizeBytes);
  let told = "";
  try {
    for (;;) {
      const left = await progressOf(context, backends);
      if (left.pending + left.failing === 0n) return left;
      bar.update(sizeBytes - Number(left.sizeBytes));
      if (left.failing > 0n && left.lastError !== told) {
        told = left.lastError;
        await context.note(`${left.failing} fail and are tried again: ${told}`);
      }
      await sleep(pollMs, undefined, { signal: context.caller.options().signal });
    }
  } catch (error) {
    await context.note("the copying goes on in the service; the same command shows how far it is");
    throw error;
  } finally {
    bar.stop();
  }
}

function progressOf(context: Context, backends: Backends): Promise<MigrationServiceGetProgressResponse> {
  return context.caller.repeatable((call) => context.services.migrations.getProgress(backends, call));
}

function openOf({ pending, failing, givenUp }: MigrationServiceGetProgressResponse): number {
  return Number(pending + failing + givenUp);
}
