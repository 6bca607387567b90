import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { reasonOf } from "@attestry/service-kit";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { AttestationServiceCancelRequest_TriggerType as Trigger } from "../src/gen/controlplane/v1/attestation_pb.ts";
import { RunStatus } from "../src/gen/controlplane/v1/run_item_pb.ts";
import { PolicyViolationsFilter } from "../src/gen/controlplane/v1/workflow_run_pb.ts";
import {
  bundleOf,
  type CommandLine,
  chainloopToken,
  commandLine,
  initialize,
  material,
  sha256,
} from "./command-line.ts";
import { refused } from "./refused.ts";

let attestry: Constellation;
let cli: CommandLine;

beforeAll(async () => {
  attestry = await startConstellation({ shape: "one-process", backend: "inline" });
  cli = commandLine(attestry.ingestUrl, await chainloopToken(attestry));
}, 60_000);
afterAll(() => attestry?.stop(), 60_000);

test("unknown workflows, runs and triggers are one readable line", async () => {
  const absent = await refused(cli.attestations.init({ workflowName: "absent", projectName: "demo" }));
  expect([absent.code, absent.rawMessage]).toEqual([Code.NotFound, "workflow not found"]);
  const runId = "019ac000-0000-7000-8000-000000000000";
  const bundle = bundleOf({});
  const store = await refused(cli.attestations.store({ workflowRunId: runId, attestationBundle: bundle }));
  expect([store.code, store.rawMessage]).toEqual([Code.NotFound, "workflow run not found"]);
  const trigger = await refused(cli.attestations.cancel({ workflowRunId: runId }));
  expect(trigger.code).toBe(Code.InvalidArgument);
  expect((await refused(cli.runs.view({ ref: { case: "id", value: "abc" } }))).code).toBe(Code.InvalidArgument);
});

test("a run that has ended takes no attestation, and one that has one takes the same again", async () => {
  const cancelled = await initialize(cli);
  await cli.attestations.cancel({ workflowRunId: cancelled, trigger: Trigger.FAILURE, reason: "tests failed" });
  const late = await refused(cli.attestations.store({ workflowRunId: cancelled, attestationBundle: bundleOf({}) }));
  expect(late.code).toBe(Code.FailedPrecondition);
  const { result } = await cli.runs.view({ ref: { case: "id", value: cancelled } });
  expect(result?.workflowRun).toMatchObject({ state: "error", status: RunStatus.FAILED, reason: "tests failed" });
  expect(result?.attestation).toBeUndefined();

  const workflowRunId = await initialize(cli);
  const attestationBundle = bundleOf({});
  const first = await cli.attestations.store({ workflowRunId, attestationBundle });
  expect(first.result?.digest).toBe(`sha256:${sha256(attestationBundle)}`);
  expect(await cli.attestations.store({ workflowRunId, attestationBundle })).toEqual(first);
  const other = await refused(cli.attestations.store({ workflowRunId, attestationBundle: bundleOf({}) }));
  expect(other.code).toBe(Code.AlreadyExists);
  const ended = await refused(cli.attestations.cancel({ workflowRunId, trigger: Trigger.CANCELLATION }));
  expect(ended.code).toBe(Code.FailedPrecondition);
});

test("a bundle that is too large is refused at once", async () => {
  const workflowRunId = await initialize(cli);
  const tooLarge = Buffer.alloc(32 * 1024 * 1024 + 1, 0x20);
  const error = await refused(cli.attestations.store({ workflowRunId, attestationBundle: tooLarge }));
  expect(reasonOf(error)).toBe("BUNDLE_TOO_LARGE");
});

test("versions of a project are created, required and released", async () => {
  const asked = { workflowName: "versions", projectName: "versioned" };
  await cli.attestations.findOrCreateWorkflow(asked);
  const missing = await refused(
    cli.attestations.init({ ...asked, projectVersion: "v9", requireExistingVersion: true }),
  );
  expect(missing.rawMessage).toContain("v9");
  const { result } = await cli.attestations.init({ ...asked, projectVersion: "v1.0.0" });
  expect(result?.workflowRun?.version).toMatchObject({ version: "v1.0.0", prerelease: true, latest: true });
  const workflowRunId = result?.workflowRun?.id ?? "";
  await cli.attestations.store({
    ...{ workflowRunId, attestationBundle: bundleOf({}), markVersionAsReleased: true },
  });
  const viewed = await cli.runs.view({ ref: { case: "id", value: workflowRunId } });
  expect(viewed.result?.workflowRun?.version).toMatchObject({ version: "v1.0.0", prerelease: false });
  const listed = await cli.runs.list({ projectName: "versioned", projectVersionName: "v1.0.0" });
  expect(listed.result.map(({ id }) => id)).toEqual([workflowRunId]);
  await cli.attestations.init({ ...asked, projectVersion: "v2.0.0" });
  const projectVersion = result?.workflowRun?.version?.id ?? "";
  const idsOf = async (more: object) => (await cli.runs.list(more)).result.map(({ id }) => id);
  expect(await idsOf({ projectVersion })).toEqual([workflowRunId]);
  expect(await idsOf({ projectVersion, projectName: "versioned", workflowName: "versions" })).toEqual([workflowRunId]);
  // Neither of another project nor of another name.
  for (const other of [{ projectName: "demo" }, { projectName: "versioned", projectVersionName: "v2.0.0" }])
    expect((await refused(cli.runs.list({ projectVersion, ...other }))).code).toBe(Code.NotFound);
  const nobodys = await refused(cli.runs.list({ projectVersion: "019ac000-0000-7000-8000-000000000000" }));
  expect(nobodys.code).toBe(Code.NotFound);
  expect((await refused(cli.runs.list({ projectVersion: "v1.0.0" }))).code).toBe(Code.InvalidArgument);
  const unknown = await refused(cli.runs.list({ projectName: "versioned", projectVersionName: "v8" }));
  expect(unknown.code).toBe(Code.NotFound);
  const nowhere = await refused(cli.runs.list({ projectName: "no-such-project" }));
  expect([nowhere.code, nowhere.rawMessage]).toEqual([Code.NotFound, "project not found"]);
});

test("a run that names no version is of v0, which stays the latest only until another is", async () => {
  const asked = { workflowName: "unversioned", projectName: "unversioned" };
  await cli.attestations.findOrCreateWorkflow(asked);
  const versionOf = async (more: object) =>
    (await cli.attestations.init({ ...asked, ...more })).result?.workflowRun?.version;
  expect(await versionOf({})).toMatchObject({ version: "v0", latest: true });
  expect(await versionOf({ projectVersion: "v1" })).toMatchObject({ version: "v1", latest: true });
  expect(await versionOf({})).toMatchObject({ version: "v0", latest: false });
  expect(await versionOf({ requireExistingVersion: true })).toMatchObject({ version: "v0" });
  expect(await versionOf({ useLatestVersion: true })).toMatchObject({ version: "v1" });
  expect(await versionOf({ projectVersion: "v2", markAsLatest: false })).toMatchObject({ latest: false });
  const error = await refused(cli.attestations.init({ ...asked, projectVersion: "v 1" }));
  expect([error.code, error.rawMessage]).toEqual([Code.InvalidArgument, expect.stringContaining('"v 1"')]);
});

test("a run that has ended without an attestation may be cancelled in any way, one that has one may not", async () => {
  const workflowRunId = await initialize(cli);
  await cli.attestations.cancel({ workflowRunId, trigger: Trigger.FAILURE, reason: "tests" });
  await cli.attestations.cancel({ workflowRunId, trigger: Trigger.CANCELLATION, reason: "clearing up" });
  const { result } = await cli.runs.view({ ref: { case: "id", value: workflowRunId } });
  expect(result?.workflowRun?.reason).toBe("tests");
  const done = await initialize(cli);
  await cli.attestations.store({ workflowRunId: done, attestationBundle: bundleOf({}) });
  const error = await refused(cli.attestations.cancel({ workflowRunId: done, trigger: Trigger.FAILURE }));
  expect(reasonOf(error)).toBe("RUN_FINISHED");
});

test("an attestation that names another among its materials needs it to be there", async () => {
  const first = bundleOf({});
  await cli.attestations.store({ workflowRunId: await initialize(cli), attestationBundle: first });
  const naming = (hex: string) => bundleOf({ predicate: { materials: [material("base", hex, "ATTESTATION")] } });
  const workflowRunId = await initialize(cli);
  const error = await refused(cli.attestations.store({ workflowRunId, attestationBundle: naming("0".repeat(64)) }));
  expect(error.rawMessage).toContain(`dependent attestation not found: sha256:${"0".repeat(64)}`);
  await cli.attestations.store({ workflowRunId, attestationBundle: naming(sha256(first)) });
});

test("what a newer command line asks of policies filters nothing", async () => {
  const asked = { workflowName: "policies", projectName: "policies" };
  const violated = await initialize(cli, asked.workflowName, asked.projectName);
  const evaluation = { name: "p", violations: [{ message: "no" }], policy_reference: { name: "p" }, gate: true };
  const predicate = { policyEvaluations: { "chainloop.attestation": [evaluation] } };
  await cli.attestations.store({ workflowRunId: violated, attestationBundle: bundleOf({ predicate }) });
  const idsOf = async (filter: object) => (await cli.runs.list({ ...asked, ...filter })).result.map(({ id }) => id);
  expect(await idsOf({ policyViolations: PolicyViolationsFilter.WITH_VIOLATIONS })).toEqual([violated]);
  expect(await idsOf({ policyViolations: PolicyViolationsFilter.WITHOUT_VIOLATIONS })).toEqual([]);
  expect(await idsOf({ policyViolations: 3 })).toEqual([violated]);
  expect(await idsOf({ policyGates: 3 })).toEqual([violated]);
});

test("a long reason is cut, and a run may begin whose job has a long address", async () => {
  const asked = { workflowName: "long", projectName: "demo" };
  await cli.attestations.findOrCreateWorkflow(asked);
  const begin = async (jobUrl: string) => (await cli.attestations.init({ ...asked, jobUrl })).result?.workflowRun;
  const longest = `https://ci.example.org/${"j".repeat(2_025)}`;
  expect((await begin(longest))?.jobUrl).toBe(longest);
  const run = await begin(`${longest}j`);
  expect(run?.jobUrl).toBe("");
  const workflowRunId = run?.id ?? "";
  const reason = `\0${"\u{1F600}".repeat(1_025)}`;
  await cli.attestations.cancel({ workflowRunId, trigger: Trigger.FAILURE, reason });
  const { result } = await cli.runs.view({ ref: { case: "id", value: workflowRunId } });
  expect(result?.workflowRun).toMatchObject({ state: "error", reason: "\u{1F600}".repeat(1_024) });
  const short = (await begin("https://ci\u0007"))?.id ?? "";
  await cli.attestations.cancel({ workflowRunId: short, trigger: Trigger.FAILURE, reason: "a\u{1F600}".repeat(400) });
  const kept = await cli.runs.view({ ref: { case: "id", value: short } });
  expect(kept.result?.workflowRun).toMatchObject({ jobUrl: "", reason: "a\u{1F600}".repeat(400) });
});
