import { RunState } from "@attestry/api/run";
import { uuidv7 } from "@attestry/service-kit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { expectRefusal, refusal } from "./errors.ts";
import { type Harness, startHarness } from "./harness.ts";

const bytes = (text: string) => Buffer.from(text);
const many = <T>(count: number, call: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => call(index)));

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.stop());

async function textOf(clients: Harness["admin"], name: string): Promise<string> {
  const { revision } = await clients.contracts.get({ name });
  return Buffer.from(revision?.text ?? []).toString();
}

describe("a new workflow", () => {
  test("gets a contract of its own, of its project, that asks for nothing", async () => {
    const { ci, reader } = await harness.organization("own");
    const { workflow, created } = await ci.workflows.findOrCreate({
      ...{ project: "p", name: "w", description: "what it does", team: "those who do" },
    });
    expect(created).toBe(true);
    expect(workflow).toMatchObject({
      ...{ description: "what it does", team: "those who do", contract: "p-w", contractRevision: 1, runCount: 0 },
    });
    expect(workflow?.lastRun).toBeUndefined();
    const { contract } = await reader.contracts.get({ name: "p-w" });
    expect(contract).toMatchObject({ project: "p", workflows: [{ id: workflow?.id, project: "p", name: "w" }] });
    expect(await textOf(reader, "p-w")).toContain("    name: p-w\nspec: {}\n");
    const again = await ci.workflows.findOrCreate({ project: "p", name: "w", team: "others", contract: "none" });
    expect(again).toMatchObject({ created: false, workflow: { team: "those who do", contract: "p-w" } });
  });

  test("with a text has it in the contract of its own, or in the one that it names", async () => {
    const { ci, reader, admin } = await harness.organization("with-text");
    const create = (name: string, contract: string, text: string) =>
      ci.workflows.findOrCreate({ project: "p", name, contract, contractText: bytes(text) });
    expect((await create("a", "", "a: 1")).workflow).toMatchObject({ contract: "p-a", contractRevision: 1 });
    expect((await create("b", "named", "b: 2")).workflow).toMatchObject({ contract: "named" });
    // What is there already is taken as it is.
    expect((await create("c", "named", "c: 3")).workflow).toMatchObject({ contract: "named", contractRevision: 1 });
    expect([await textOf(reader, "p-a"), await textOf(reader, "named")]).toEqual(["a: 1", "b: 2"]);
    expect(await refusal(create("d", "other", "- d"))).toMatchObject({ reason: "CONTRACT_INVALID" });
    await expectRefusal(reader.workflows.get({ project: "p", name: "d" }), "NotFound", "WORKFLOW_NOT_FOUND");
    expect((await admin.audit.list({ action: "contract.create" })).events).toMatchObject([
      { detail: { name: "named" } },
    ]);
  });

  test("takes a contract of its name if that is of any project or of its own", async () => {
    const { ci } = await harness.organization("reused");
    await ci.contracts.create({ name: "p-any", text: bytes("a: 1") });
    await ci.contracts.create({ name: "p-mine", project: "p", text: bytes("a: 1") });
    await ci.contracts.update({ name: "p-mine", text: bytes("a: 2") });
    await ci.contracts.create({ name: "p-theirs", project: "q", text: bytes("a: 1") });
    const of = async (name: string) => (await ci.workflows.findOrCreate({ project: "p", name })).workflow;
    expect(await of("any")).toMatchObject({ contract: "p-any", contractRevision: 1 });
    expect(await of("mine")).toMatchObject({ contract: "p-mine", contractRevision: 2 });
    expect(await of("theirs")).toMatchObject({ contract: expect.stringMatching(/^p-theirs-[0-9a-f]{8}$/) });
    // a-b/c and a/b-c would both have a-b-c; names of the greatest length still fit.
    const [one, two] = [
      await ci.workflows.findOrCreate({ project: "a-b", name: "c" }),
      await ci.workflows.findOrCreate({ project: "a", name: "b-c" }),
    ];
    expect(one.workflow?.contract).toBe("a-b-c");
    expect(two.workflow?.contract).toMatch(/^a-b-c-[0-9a-f]{8}$/);
    const x = "x".repeat(126);
    const z = "z".repeat(126);
    await ci.workflows.findOrCreate({ project: x, name: `y-${z}` });
    const { workflow } = await ci.workflows.findOrCreate({ project: `${x}-y`, name: z });
    expect(workflow?.contract).toMatch(/^x+-y-z+-[0-9a-f]{8}$/);
    await ci.contracts.get({ name: workflow?.contract ?? "" });
  });

  test("with a contract that is not there, or of another project, is refused, and not made", async () => {
    const { ci, reader } = await harness.organization("refused");
    await ci.contracts.create({ name: "theirs", project: "q" });
    const ask = (contract: string) => ci.workflows.findOrCreate({ project: "p", name: "w", contract });
    await expectRefusal(ask("none"), "NotFound", "CONTRACT_NOT_FOUND");
    const refused = await refusal(ask("theirs"));
    expect(refused).toMatchObject({ code: "NotFound", reason: "CONTRACT_NOT_FOUND" });
    expect(refused.message).toContain("workflows of the project q only");
    await expectRefusal(ask("no/name"), "InvalidArgument", "NAME_INVALID");
    expect((await reader.workflows.list({})).workflows).toEqual([]);
    expect((await reader.contracts.list({})).contracts).toHaveLength(1);
  });
});

describe("who comes at once", () => {
  test("20 callers of find-or-create share one workflow, one contract and its one revision", async () => {
    const { ci, id } = await harness.organization("at-once");
    await ci.contracts.create({ name: "p-taken", project: "q" });
    for (const name of ["w", "taken"]) {
      const answers = await many(20, () => ci.workflows.findOrCreate({ project: "p", name }));
      expect(answers.filter(({ created }) => created)).toHaveLength(1);
      expect(new Set(answers.map(({ workflow }) => `${workflow?.id} ${workflow?.contract}`)).size).toBe(1);
      expect(answers.every(({ workflow }) => workflow?.contractRevision === 1)).toBe(true);
    }
    const { rows } = await harness.pool.query(
      "select count(*)::int as contracts, (select count(*)::int from contract_revision where organization_id = $1) as revisions from contract where organization_id = $1",
      [id],
    );
    expect(rows).toEqual([{ contracts: 3, revisions: 3 }]);
  });

  test("20 that bring contracts of different names leave the one of the workflow", async () => {
    const { ci, reader } = await harness.organization("at-once-named");
    const answers = await many(20, (index) =>
      ci.workflows.findOrCreate({ project: "p", name: "w", contract: `c${index}`, contractText: bytes(`n: ${index}`) }),
    );
    const [contract = ""] = new Set(answers.map(({ workflow }) => workflow?.contract));
    expect((await reader.contracts.list({})).contracts.map(({ name }) => name)).toEqual([contract]);
    expect(await textOf(reader, contract)).toBe(`n: ${contract.slice(1)}`);
  });

  test("20 runs of a workflow that is not there make it, and its contract, once", async () => {
    const { ci, reader } = await harness.organization("at-once-runs");
    const answers = await many(20, () => ci.runs.create({ project: "p", workflow: "w" }));
    expect(answers.every(({ run }) => run?.contractRevision === 1)).toBe(true);
    expect((await reader.contracts.list({})).contracts).toMatchObject([{ name: "p-w", latestRevision: 1 }]);
  });
});

describe("what a build from before contracts writes", () => {
  test("gets a contract from the database, and its runs say that they know of none", async () => {
    const { ci, reader, id } = await harness.organization("old-build");
    const [workflowId, runId] = [uuidv7(), uuidv7()];
    // The statement of that build.
    await harness.pool.query(
      `with made as (
         insert into workflow (organization_id, id, project, name, created_at) values ($1, $2, 'p', 'w', now())
         on conflict (organization_id, project, name) do nothing returning id)
       insert into run (organization_id, id, workflow_id, backend_id, created_at, idempotency_key, job_url)
       select $1, $3, m.id, b.id, now(), null, '' from made m, backend b where b.organization_id = $1 and b.is_default`,
      [id, workflowId, runId],
    );
    expect((await reader.workflows.get({ project: "p", name: "w" })).workflow).toMatchObject({
      ...{ id: workflowId, contract: "p-w", contractRevision: 1, runCount: 1, lastRun: { id: runId } },
    });
    const { run } = await reader.runs.get({ by: { case: "runId", value: runId } });
    expect(run).toMatchObject({ contractRevision: 0, runner: "", blockOnPolicyViolation: false });
    expect(run?.projectVersion).toBeUndefined();
    expect((await ci.runs.create({ project: "p", workflow: "w" })).run?.contractRevision).toBe(1);
  });
});

describe("what a workflow shows of its runs", () => {
  test("is their number in any state and the newest of them", async () => {
    const { ci, reader } = await harness.organization("shows");
    await ci.runs.create({ project: "p", workflow: "quiet" });
    await ci.runs.create({ project: "p", workflow: "busy" });
    const { run } = await ci.runs.create({ project: "p", workflow: "busy", runner: "GITHUB_ACTION" });
    await ci.runs.cancel({ runId: run?.id ?? "", reason: "why" });
    await ci.workflows.findOrCreate({ project: "p", name: "idle" });
    const { workflows } = await reader.workflows.list({});
    const shown = workflows.map(({ name, runCount, lastRun }) => [name, runCount, lastRun?.state]);
    expect(shown).toEqual([
      ["idle", 0, undefined],
      ["busy", 2, RunState.CANCELLED],
      ["quiet", 1, RunState.INITIALIZED],
    ]);
    expect(workflows[1]?.lastRun).toMatchObject({
      id: run?.id,
      workflow: "busy",
      reason: "why",
      runner: "GITHUB_ACTION",
    });
    expect((await ci.workflows.findOrCreate({ project: "p", name: "busy" })).workflow).toEqual(workflows[1]);
  });

  test("stops to count at 10,000", async () => {
    const { ci, reader } = await harness.organization("counts");
    const { run } = await ci.runs.create({ project: "p", workflow: "w" });
    await harness.pool.query(
      `insert into run (organization_id, id, workflow_id, backend_id, created_at)
       select organization_id, uuidv7(), workflow_id, backend_id, created_at from run, generate_series(1, 10050) where id = $1`,
      [run?.id],
    );
    expect((await reader.workflows.get({ project: "p", name: "w" })).workflow?.runCount).toBe(10_000);
  });
});
