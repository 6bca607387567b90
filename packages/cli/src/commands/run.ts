import {
  CancelTrigger,
  type PolicyStatus,
  PolicyStatusSchema,
  type Run,
  RunSchema,
  RunServiceListResponseSchema,
  type RunState,
  RunStateSchema,
} from "@attestry/api/run";
import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type Command, Option } from "commander";
import {
  type DigestOrRun,
  digestOrRun,
  positiveInteger,
  runId as runIdArgument,
  time,
  type WorkflowName,
  workflowFilter,
  workflowName,
} from "../arguments.ts";
import { type Context, withContext } from "../context.ts";
import { timeCell } from "../output/cells.ts";
import { addExamples, addOutputOption } from "../output/option.ts";
import type { Column } from "../output/output.ts";
import { enumValue, enumWord, enumWords, plain } from "../output/plain.ts";
import { policiesCell, policyStatusCell } from "../output/policies.ts";
import { addPageOptions, fetchPages, noteMore, type PageOptions } from "../paging.ts";

const fields =
  "id, workflowId, project, workflow, state, createdAt, finishedAt, attestationDigest, backendId, backendName, reason, jobUrl, contractRevision, runner, projectVersion: {id, version, prerelease, createdAt, releasedAt, latest} (null: none), blockOnPolicyViolation, policySummary, tokenId";

export function addRunCommand(program: Command): void {
  const run = program.command("run").description("workflow runs: start, cancel, list and show them");
  addStart(run);
  addCancel(run);
  addList(run);
  addGet(run);
}

interface StartOptions {
  jobUrl: string;
  idempotencyKey: string;
  contractRevision?: number;
  runner: string;
  projectVersion?: string;
}

function addStart(run: Command): void {
  const command = run
    .command("start")
    .description(
      "Start a run, to be ended by `store --run ID` or `run cancel`; the workflow is created if there is none.",
    )
    .argument("<project/name>", "the workflow", workflowName)
    .option("--job-url <url>", "link to the CI job", "")
    .option("--idempotency-key <key>", "the same key again gives the run that the first call started", "")
    .option("--contract-revision <n>", "of the workflow's contract; its latest if not given", positiveInteger)
    .option("--runner <name>", "where the run takes place, for example GITHUB_ACTION", "")
    .option("--project-version <version>", "what the run is of; made, as the project's latest, if it is not there")
    .action(({ project, workflow }: WorkflowName, options: StartOptions, self: Command) =>
      withContext(self, async (context) => {
        const request = {
          project,
          workflow,
          jobUrl: options.jobUrl,
          idempotencyKey: options.idempotencyKey || newKey(),
          contractRevision: options.contractRevision ?? 0,
          runner: options.runner,
          ...(options.projectVersion !== undefined && { projectVersion: { version: options.projectVersion } }),
        };
        const answer = await context.caller.repeatable((call) => context.services.runs.create(request, call));
        await printRun(context, answer.run);
      }),
    );
  addExamples(
    addOutputOption(command, `{${fields}}`),
    "attestry run start web/release --job-url https://ci.example.test/jobs/17",
    "attestry run start web/release -o json | jq -r .id",
    "attestry run start web/release --project-version 2.1.0 --contract-revision 3",
  );
}

function addCancel(run: Command): void {
  const command = run
    .command("cancel")
    .description("End a run that will store no attestation. Cancelling it again is no fault.")
    .argument("<id>", "the run", runIdArgument)
    .option("--failed", "because the job failed: the run ends in the state error instead of cancelled")
    .option("--reason <text>", "why, for those who look at it later", "")
    .action((runId: string, options: { failed?: boolean; reason: string }, self: Command) =>
      withContext(self, async (context) => {
        const trigger = options.failed ? CancelTrigger.FAILURE : CancelTrigger.CANCELLATION;
        const request = { runId, trigger, reason: options.reason };
        const answer = await context.caller.repeatable((call) => context.services.runs.cancel(request, call));
        await printRun(context, answer.run);
      }),
    );
  addExamples(addOutputOption(command, `{${fields}}`), 'attestry run cancel "$RUN" --failed --reason "tests failed"');
}

interface ListOptions extends PageOptions {
  workflow?: WorkflowName;
  state?: string;
  policies?: string;
  since?: Timestamp;
  until?: Timestamp;
  projectVersion: string;
}

function addList(run: Command): void {
  const command = run
    .command("list")
    .description("List runs, newest first.")
    .option("--workflow <project[/name]>", "only those of this project or workflow", workflowFilter)
    .addOption(new Option("--state <state>", "only those in this state").choices(enumWords(RunStateSchema)))
    .addOption(
      new Option("--policies <status>", "only those whose attestation says this of policies").choices(
        enumWords(PolicyStatusSchema),
      ),
    )
    .option("--since <time>", "started at or after: 2026-11-24, 2026-11-24T10:00:00Z, or 24h ago", time)
    .option("--until <time>", "started before", time)
    .option("--project-version <version>", "only those of this version; needs --workflow", "")
    .action((options: ListOptions, self: Command) =>
      withContext(self, async (context) => {
        const state = options.state === undefined ? undefined : enumValue<RunState>(RunStateSchema, options.state);
        const policyStatus =
          options.policies === undefined ? undefined : enumValue<PolicyStatus>(PolicyStatusSchema, options.policies);
        const filters = {
          ...options.workflow,
          ...(state !== undefined && { state }),
          ...(policyStatus !== undefined && { policyStatus }),
          ...(options.since && { createdAfter: options.since }),
          ...(options.until && { createdBefore: options.until }),
          projectVersion: options.projectVersion,
        };
        const { items, nextPageToken } = await fetchPages(
          context,
          options,
          (page, call) => context.services.runs.list({ ...filters, ...page }, call),
          (page) => page.runs,
        );
        const answer = create(RunServiceListResponseSchema, { runs: items, nextPageToken });
        await context.printList(plain(RunServiceListResponseSchema, answer), columnsOf(items), items, "no runs");
        await noteMore(context, nextPageToken);
      }),
    );
  addPageOptions(command);
  addExamples(
    addOutputOption(command, `{runs: [{${fields}}], nextPageToken}`),
    "attestry run list --workflow web/release --state initialized",
    "attestry run list --since 24h -o json",
    "attestry run list --policies blocked",
  );
}

function addGet(run: Command): void {
  const command = run
    .command("get")
    .description("Show a run.")
    .argument("<id|digest>", "the run, or the digest of its attestation", digestOrRun)
    .action((by: DigestOrRun, _options: unknown, self: Command) =>
      withContext(self, async (context) => {
        const answer = await context.caller.repeatable((call) => context.services.runs.get({ by }, call));
        await printRun(context, answer.run);
      }),
    );
  addExamples(addOutputOption(command, `{${fields}}`), "attestry run get 0198a6e0-7a52-7cc3-98b8-5d2d5a0c6f10");
}

const columns: Column<Run>[] = [
  { head: "id", cell: ({ id }) => id },
  { head: "workflow", cell: ({ project, workflow }) => `${project}/${workflow}` },
  { head: "state", cell: ({ state }) => enumWord(RunStateSchema, state) },
  { head: "started", cell: ({ createdAt }) => timeCell(createdAt) },
  { head: "finished", cell: ({ finishedAt }) => timeCell(finishedAt) },
  { head: "attestation", cell: ({ attestationDigest }) => attestationDigest },
];

/** With a column for policies only where there are some: most have none. */
function columnsOf(runs: readonly Run[]): Column<Run>[] {
  if (runs.every(({ policySummary }) => policySummary === undefined)) return columns;
  return [...columns, { head: "policies", cell: ({ policySummary }) => policyStatusCell(policySummary) }];
}

async function printRun(context: Context, run: Run | undefined): Promise<void> {
  const shown = run ?? create(RunSchema);
  await context.printObject(plain(RunSchema, shown), {
    run: shown.id,
    workflow: `${shown.project}/${shown.workflow}`,
    state: enumWord(RunStateSchema, shown.state),
    started: timeCell(shown.createdAt),
    finished: timeCell(shown.finishedAt),
    attestation: shown.attestationDigest,
    ...(shown.policySummary && { policies: policiesCell(shown.policySummary) }),
    backend: shown.backendName,
    reason: shown.reason,
    "job url": shown.jobUrl,
    runner: shown.runner,
    "contract revision": shown.contractRevision || null,
    "project version": shown.projectVersion?.version,
    token: shown.tokenId,
    "block on policy violation": shown.blockOnPolicyViolation,
  });
}

/** A key of its own for this call, so that a retry after a lost answer starts no second run. */
function newKey(): string {
  return crypto.randomUUID();
}
