import { PolicyStatus, RunState } from "@attestry/api/run";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { expectRefusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

type Completion = Parameters<Harness["ingest"]["runs"]["complete"]>[0];
type Summary = NonNullable<Completion["policySummary"]>;
type Filters = Parameters<Harness["admin"]["runs"]["list"]>[0];

const none = { total: 0, passed: 0, skipped: 0, violated: 0, hasGates: false, suppressed: 0 };
const violated = { total: 5, passed: 2, skipped: 1, violated: 3, hasGates: true, suppressed: 1 };
const { NOT_APPLICABLE, PASSED, SKIPPED, WARNING, BLOCKED, BYPASSED } = PolicyStatus;
const statuses = [NOT_APPLICABLE, PASSED, SKIPPED, WARNING, BLOCKED, BYPASSED];
/** As the attestations of the runs below say, oldest first; undefined: nothing. */
const summaries: (Summary | undefined)[] = [
  { status: NOT_APPLICABLE, ...none },
  { status: PASSED, ...none, total: 2, passed: 2, suppressed: 1 },
  { status: PASSED, ...none, total: 1, passed: 1, hasGates: true },
  { status: SKIPPED, ...none, total: 1, skipped: 1 },
  { status: WARNING, ...violated, hasGates: false },
  { status: BLOCKED, ...violated },
  { status: BYPASSED, ...violated },
  undefined,
];

let harness: Harness;
let organization: Awaited<ReturnType<Harness["organization"]>>;
/** One for each summary, then one that has no attestation, and one that was cancelled. */
let runs: string[];

beforeAll(async () => {
  harness = await startHarness();
  organization = await harness.organization("policies");
  runs = [];
  for (const [index, policySummary] of summaries.entries()) {
    runs.push(await begin(index % 2 === 0 ? "even" : "odd"));
    await complete(runs[index] ?? "", policySummary);
  }
  runs.push(await begin("even"), await begin("odd"));
  await organization.ci.runs.cancel({ runId: runs.at(-1) ?? "" });
});
afterAll(() => harness.stop());

async function begin(workflow: string): Promise<string> {
  return (await organization.ci.runs.create({ project: "p", workflow })).run?.id ?? "";
}

const digest = `sha256:${"ab".repeat(32)}`;

async function complete(runId: string, policySummary: Summary | undefined): Promise<void> {
  const ask = { organizationId: organization.id, runId, digest };
  const { planGivenAt } = await harness.ingest.runs.getStoragePlan({ ...ask, sizeBytes: 1n });
  await harness.ingest.runs.complete({
    ...ask,
    ...(planGivenAt && { planGivenAt }),
    ...(policySummary && { policySummary }),
  });
}

async function read(runId: string) {
  return (await organization.reader.runs.get({ by: { case: "runId", value: runId } })).run;
}

/** The places in `runs` of all that the pages have, newest first. */
async function find(filters: Filters, pageSize = 2): Promise<number[]> {
  const found: number[] = [];
  let pageToken = "";
  do {
    const page = await organization.reader.runs.list({ ...filters, pageSize, pageToken });
    found.push(...page.runs.map(({ id }) => runs.indexOf(id)));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return found;
}

describe("what the attestation of a run says of policies", () => {
  test("is kept with the completion, and shown by Get and List", async () => {
    const { runs: listed } = await organization.reader.runs.list({});
    for (const [index, summary] of summaries.entries()) {
      const run = await read(runs[index] ?? "");
      expect(run?.state).toBe(RunState.SUCCESS);
      expect(listed.find(({ id }) => id === runs[index])?.policySummary).toEqual(run?.policySummary);
      if (summary === undefined) expect(run?.policySummary).toBeUndefined();
      else expect(run?.policySummary).toMatchObject(summary);
    }
    for (const runId of runs.slice(summaries.length)) expect((await read(runId))?.policySummary).toBeUndefined();
  });

  test("stays what the first completion said, as many as come at once", async () => {
    const created = await Promise.all(Array.from({ length: 20 }, () => begin("batch")));
    const said = created.map((_, index) => ({
      ...violated,
      status: statuses[index % 6] ?? NOT_APPLICABLE,
      total: index,
    }));
    await Promise.all(created.map((runId, index) => complete(runId, said[index])));
    await Promise.all(created.map((runId) => complete(runId, { status: PASSED, ...none })));
    await Promise.all(created.map((runId) => complete(runId, undefined)));
    const shown = await Promise.all(created.map((runId) => read(runId)));
    expect(shown.map((run) => run?.policySummary)).toMatchObject(said);
  });

  test.each<[string, Summary]>([
    ["no status", { ...none, status: PolicyStatus.UNSPECIFIED }],
    ["a status that this build does not know", { ...violated, status: 99 as PolicyStatus }],
    ["a negative count", { ...violated, status: BLOCKED, passed: -1 }],
  ])("is nothing with %s, and the run is completed all the same", async (_, summary) => {
    const runId = await begin("refused");
    await complete(runId, summary);
    const run = await read(runId);
    expect([run?.state, run?.policySummary]).toEqual([RunState.SUCCESS, undefined]);
  });

  test("is nothing of a run that was refused", async () => {
    const refused = harness.ingest.runs.complete({
      ...{ organizationId: organization.id, runId: runs.at(-1) ?? "", digest },
      planGivenAt: timestampFromMs(Date.now()),
      policySummary: { status: PASSED, ...none },
    });
    await expectRefusal(refused, "FailedPrecondition", "RUN_CANCELLED");
    expect((await read(runs.at(-1) ?? ""))?.policySummary).toBeUndefined();
  });
});

describe("runs are found", () => {
  const even = { project: "p", workflow: "even" };
  const odd = { project: "p", workflow: "odd" };
  test.each<[string, Filters, number[], number[]]>([
    ["without policies", { policyStatus: NOT_APPLICABLE }, [0], [7]],
    ["that passed", { policyStatus: PASSED }, [2], [1]],
    ["that were skipped", { policyStatus: SKIPPED }, [], [3]],
    ["with a warning", { policyStatus: WARNING }, [4], []],
    ["that were blocked", { policyStatus: BLOCKED }, [], [5]],
    ["that were bypassed", { policyStatus: BYPASSED }, [6], []],
    ["with violations", { hasPolicyViolations: true }, [6, 4], [5]],
    ["without violations", { hasPolicyViolations: false }, [2, 0], [7, 3, 1]],
    ["with gates", { hasPolicyGates: true }, [6, 2], [5]],
    ["without gates", { hasPolicyGates: false }, [4, 0], [7, 3, 1]],
    ["with violations and no gates", { hasPolicyViolations: true, hasPolicyGates: false }, [4], []],
    ["without violations, with gates", { hasPolicyViolations: false, hasPolicyGates: true }, [2], []],
    ["that are contradictory", { policyStatus: PASSED, hasPolicyViolations: true }, [], []],
    ["in another state", { policyStatus: PASSED, state: RunState.CANCELLED }, [], []],
    ["in no state but success", { hasPolicyGates: false, state: RunState.SUCCESS }, [4, 0], [7, 3, 1]],
  ])("%s", async (_, filters, inEven, inOdd) => {
    expect(await find({ ...filters, ...even }, 1)).toEqual(inEven);
    expect(await find({ ...filters, ...odd }, 1)).toEqual(inOdd);
    const all = [...inEven, ...inOdd].sort((a, b) => b - a);
    for (const pageSize of [1, 100]) {
      const found = await find(filters, pageSize);
      expect(found.filter((index) => index >= 0)).toEqual(all);
    }
  });

  test("with a cursor that is bound to these filters", async () => {
    const { reader } = organization;
    const { nextPageToken: pageToken } = await reader.runs.list({ hasPolicyGates: false, pageSize: 1 });
    for (const filters of [{}, { hasPolicyGates: true }, { hasPolicyViolations: false }, { policyStatus: PASSED }]) {
      await expectRefusal(reader.runs.list({ ...filters, pageToken }), "InvalidArgument", "PAGE_TOKEN_INVALID");
    }
    const unknown = reader.runs.list({ policyStatus: 99 as PolicyStatus });
    await expectRefusal(unknown, "InvalidArgument", "REQUEST_INVALID");
  });

  test("by an index of their own where they are rare", async () => {
    const big = await harness.organization("big");
    const { run } = await big.ci.runs.create({ project: "p", workflow: "w" });
    await harness.pool.query(
      `insert into run (organization_id, id, workflow_id, backend_id, created_at, state, finished_at, attestation_digest,
         policy_status, policy_total, policy_passed, policy_skipped, policy_violated, policy_has_gates, policy_suppressed)
       select $1, (lpad(to_hex(n::bigint * 1000), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid, $2, $3,
         to_timestamp(n), 'success', now(), decode(repeat('ab', 32), 'hex'),
         case when n % 10000 = 0 then 'warning'::policy_status else 'not_applicable' end, n % 3, 0, 0,
         case when n % 10000 = 0 then 1 else 0 end, n % 10000 = 0, 0
       from generate_series(1, 50000) n`,
      [big.id, run?.workflowId, run?.backendId],
    );
    await harness.pool.query("analyze run");
    for (const [filters, index] of [
      [{ policyStatus: WARNING }, "policy_status"],
      [{ hasPolicyViolations: true }, "policy_violated"],
      [{ hasPolicyGates: true }, "policy_gates"],
    ] as const) {
      for (const [project, name] of [
        ["", `run_${index}_idx`],
        ["p", `run_workflow_${index}_idx`],
      ] as const) {
        const scans = await scansOf(name);
        expect((await big.reader.runs.list({ ...filters, project })).runs).toHaveLength(5);
        const end = Date.now() + 10_000;
        while ((await scansOf(name)) === scans && Date.now() < end) await new Promise((done) => setTimeout(done, 50));
        expect({ name, used: (await scansOf(name)) > scans }).toEqual({ name, used: true });
      }
    }
  }, 60_000);
});

/** How often an index was read; it comes late, by up to a second. */
async function scansOf(index: string): Promise<number> {
  const { rows } = await harness.pool.query("select idx_scan::int from pg_stat_user_indexes where indexrelname = $1", [
    index,
  ]);
  return rows[0]?.idx_scan ?? Number.NaN;
}
