import { type Command, Option } from "commander";
import { positiveInteger } from "../arguments.ts";
import { SourceBuckets } from "../chainloop/buckets.ts";
import { ChainloopDatabase, type SourceOrganization } from "../chainloop/chainloop-database.ts";
import { ContractRevisions } from "../chainloop/contract-revisions.ts";
import { DefinitionsImport } from "../chainloop/definitions.ts";
import { ChainloopImport } from "../chainloop/importer.ts";
import { MaterialMover } from "../chainloop/material-mover.ts";
import { ProgressFile } from "../chainloop/progress-file.ts";
import { ImportReport } from "../chainloop/report.ts";
import { ImportTarget } from "../chainloop/target.ts";
import { type Context, withContext } from "../context.ts";
import { CommandError, UsageError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import { addExamples, addOutputOption } from "../output/option.ts";

/** What an installation of years takes; the same command again goes on. */
const timeoutMs = 24 * 60 * 60_000;

interface ImportOptions {
  database: string;
  backend?: string[];
  organization?: string;
  to?: string;
  jobs: number;
  dryRun?: boolean;
  fromScratch?: boolean;
}

export function addImportChainloop(parent: Command): void {
  const command = parent
    .command("chainloop")
    .summary("import the attestations and materials of a chainloop installation")
    .description(
      "Import what a chainloop installation keeps of one organization to the organization of the token: all attestations, " +
        "oldest first and byte for byte, the materials that they say are in chainloop's storage, contracts and workflows. Every digest is verified; " +
        "what is not what its digest names, or is not there, is named and left, and the rest goes on. Chainloop is only read. " +
        "The same command again imports nothing twice and goes on where this one ended; it takes up to 24 hours unless --timeout is given. " +
        "Not imported: runs without an attestation, tokens, users, policies, and what its first versions kept in place of " +
        "bundles. Needs a token with the role ci or admin.",
    )
    .addOption(
      new Option(
        "--database <url>",
        "chainloop's PostgreSQL: postgres://USER@HOST/DATABASE (the password better in PGPASSWORD, which shows in no process list)",
      )
        .env("CHAINLOOP_DATABASE_URL")
        .makeOptionMandatory(),
    )
    .option(
      "--backend <file>",
      "JSON file that names chainloop's bucket and the credentials to read it, as a secret file of cas-gateway does; once for each bucket",
      (file: string, files: string[] | undefined) => [...(files ?? []), file],
    )
    .option("--organization <name>", "which one of chainloop's; needed if it has several")
    .option("--to <backend>", "backend for the materials (default: the organization's default backend)")
    .option("--jobs <n>", "transfers at a time", positiveInteger, 4)
    .option("--dry-run", "read and verify all of it, and write nothing; calls no server")
    .option("--from-scratch", "ask for all of it again, in place of going on where the last import ended")
    .action((options: ImportOptions, self: Command) =>
      withContext(self, (context) => importChainloop(context, options), timeoutMs),
    );
  addExamples(
    addOutputOption(
      command,
      "{organization, dryRun, progressFile, attestations: {imported, present, sizeBytes, ofLatestRevision}, materials: {uploaded, present, sizeBytes}, " +
        "definitions: {contracts, revisions, workflows, releasedVersions}, legacy: {count, runIds}, " +
        "failed: {attestations, materials, others}, faults: [{runId: null | ID, digest, what: attestation | material | NAME, reason, message}]}",
    ),
    "attestry import chainloop --database postgres://reader@db/chainloop --backend bucket.json --dry-run",
    "attestry import chainloop --database postgres://reader@db/chainloop --backend bucket.json --organization acme",
  );
}

async function importChainloop(context: Context, options: ImportOptions): Promise<void> {
  const { signal } = context.caller.options();
  const { dryRun = false, fromScratch = false, backend = [], jobs, to } = options;
  await using opened = new AsyncDisposableStack();
  const database = opened.adopt(await ChainloopDatabase.open(options.database, signal), (open) => open.close());
  const organization = chosen(await database.organizations(), options.organization);
  const buckets = opened.adopt(await SourceBuckets.open(backend, signal), (open) => open.close());
  if (!database.hasBundles) {
    await context.note(
      "there is no table of bundles in the database, or this user may not read it: they are looked for in the bucket",
    );
  }
  if (backend.length === 0) await noteBuckets(context, await database.externalBackends(organization.id));

  const progressFile = dryRun ? undefined : await openProgress(context, organization, fromScratch);
  const report = new ImportReport(context, { done: progressFile?.done ?? 0, legacy: progressFile?.legacy ?? 0 });
  const mover = new MaterialMover(context, {
    ...{ buckets, to, jobs, dryRun },
    onMoved: (sizeBytes) => report.uploaded(sizeBytes),
    onPresent: () => report.materials.present++,
  });
  const revisions = new ContractRevisions();
  const target = dryRun ? undefined : new ImportTarget(context, revisions);
  const parts = {
    context,
    database,
    buckets,
    organizationId: organization.id,
    mover,
    target,
    progressFile,
    report,
    jobs,
  };
  const definitions = new DefinitionsImport({
    ...{
      context,
      source: database.definitions,
      organizationId: organization.id,
      counts: report.definitions,
      revisions,
    },
    onFault: (what, error) => report.otherFault(what, error),
  });
  let isAtEnd = false;
  try {
    if (!dryRun) await definitions.contractsAndWorkflows();
    await new ChainloopImport(parts).run();
    if (!dryRun) await definitions.releasedVersions();
    isAtEnd = true;
  } finally {
    await report.print({ organization: organization.name, dryRun, progressFile: progressFile?.path ?? null });
    if (!isAtEnd && !dryRun) await context.note("not all was imported; the same command goes on from here");
  }
  report.check();
}

function chosen(organizations: readonly SourceOrganization[], name: string | undefined): SourceOrganization {
  const names = organizations.map((organization) => organization.name).join(", ") || "none";
  const [first] = organizations;
  if (name === undefined) {
    if (first !== undefined && organizations.length === 1) return first;
    throw new UsageError(`--organization: expected one of chainloop's organizations; there are: ${names}`);
  }
  const found = organizations.find((organization) => organization.name === name);
  if (found !== undefined) return found;
  throw new CommandError("ORGANIZATION_NOT_FOUND", `chainloop has no organization ${name}; there are: ${names}`, {
    exitCode: exitCodes.notFound,
    hint: "none",
  });
}

async function noteBuckets(context: Context, places: readonly string[]): Promise<void> {
  if (places.length === 0) return;
  await context.note(`no --backend is given: nothing is read of what chainloop kept in ${places.join(", ")}`);
}

async function openProgress(context: Context, from: SourceOrganization, fromScratch: boolean): Promise<ProgressFile> {
  const { organization } = await context.caller.repeatable((call) => context.services.organizations.get({}, call));
  const progressFile = await ProgressFile.open(from.id, organization?.id ?? "", fromScratch);
  if (progressFile.position !== undefined) {
    await context.note(
      `going on after ${progressFile.done} attestations (${progressFile.path}; --from-scratch ignores it)`,
    );
  }
  return progressFile;
}
