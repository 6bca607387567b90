import {
  type AttestationServiceStoreResponse,
  AttestationServiceStoreResponseSchema,
  ModeSchema,
  UploadStateSchema,
} from "@attestry/api/ingest";
import { CancelTrigger } from "@attestry/api/run";
import type { Command } from "commander";
import { runId as runIdArgument, type WorkflowName, workflowName } from "../arguments.ts";
import { type Context, transferTimeoutMs, withContext } from "../context.ts";
import { exitCodeOf, reasonOf, UsageError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import { readBundle } from "../files/read-bundle.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import { enumWord, plain } from "../output/plain.ts";
import { printable } from "../output/printable.ts";
import { pollProgress } from "../output/progress.ts";

const cancelTimeoutMs = 5_000;
const longestReason = 1_024;

interface StoreOptions {
  workflow?: WorkflowName;
  run?: string;
  jobUrl: string;
}

export function addStoreCommand(program: Command): void {
  const command = program
    .command("store")
    .summary("store a bundle as the attestation of a run")
    .description(
      "Store a bundle as the attestation of a run: of a new one of --workflow, or of the one that --run names. " +
        "Done means durable. The bytes are kept exactly as they are in the file. A new run is ended as failed when " +
        "the bundle is refused; after exit code 5, `store --run ID` tries the same run again.",
    )
    .argument("<file>", "the bundle: a Sigstore bundle or a bare DSSE envelope, as JSON; - for stdin")
    .option("--workflow <project/name>", "start a run of this workflow", workflowName)
    .option("--run <id>", "store for this run, which was started before", runIdArgument)
    .option("--job-url <url>", "link to the CI job, for a new run", "")
    .action((file: string, options: StoreOptions, self: Command) =>
      withContext(self, (context) => store(context, file, options), transferTimeoutMs),
    );
  addExamples(
    addOutputOption(
      command,
      "{runId, digest: sha256:<hex>, mode: database | cas | spool, upload: none | pending | confirmed}",
    ),
    "attestry store bundle.json --workflow web/release",
    'attestry store bundle.json --run "$RUN" -o json',
    "cosign attest ... --bundle /dev/stdout | attestry store - --workflow web/release",
  );
}

async function store(context: Context, file: string, options: StoreOptions): Promise<void> {
  if ((options.workflow === undefined) === (options.run === undefined)) {
    throw new UsageError("give either --workflow PROJECT/NAME, to start a run, or --run ID");
  }
  const bundle = await readBundle(file);
  if (options.workflow === undefined) {
    await printStored(context, await storeFor(context, options.run ?? "", bundle));
    return;
  }
  const request = { ...options.workflow, jobUrl: options.jobUrl, idempotencyKey: crypto.randomUUID() };
  const { run } = await context.caller.repeatable((call) => context.services.runs.create(request, call));
  const runId = run?.id ?? "";
  try {
    await printStored(context, await storeFor(context, runId, bundle));
  } catch (error) {
    await leaveRun(context, runId, error);
    throw error;
  }
}

async function storeFor(context: Context, runId: string, bundle: Uint8Array): Promise<AttestationServiceStoreResponse> {
  const { services } = context;
  const before = services.bytesSentToIngest();
  const progress = pollProgress("storing", bundle.byteLength, () => services.bytesSentToIngest() - before);
  try {
    return await context.caller.repeatable((call) => services.attestations.store({ runId, bundle }, call));
  } finally {
    progress.stop();
  }
}

/** The run that was started for this bundle: ended if it will never have it, else left for another try. */
async function leaveRun(context: Context, runId: string, error: unknown): Promise<void> {
  if (exitCodeOf(error) === exitCodes.unavailable) {
    await context.note(`the run ${runId} is still open; try again with --run ${runId}`);
    return;
  }
  const interrupted = exitCodeOf(error) === exitCodes.interrupted;
  const why = interrupted ? "interrupted" : `${reasonOf(error) ?? "failed"}: ${(error as Error).message}`;
  const request = {
    runId,
    trigger: interrupted ? CancelTrigger.CANCELLATION : CancelTrigger.FAILURE,
    reason: printable(`store: ${why}`).slice(0, longestReason),
  };
  await context.services.runs.cancel(request, { timeoutMs: cancelTimeoutMs }).catch(() => {
    return context.note(`the run ${runId} could not be ended; it expires by itself`);
  });
}

async function printStored(context: Context, stored: AttestationServiceStoreResponse): Promise<void> {
  await context.printObject(plain(AttestationServiceStoreResponseSchema, stored), {
    run: stored.runId,
    digest: stored.digest,
    mode: enumWord(ModeSchema, stored.mode),
    upload: enumWord(UploadStateSchema, stored.upload),
  });
}
