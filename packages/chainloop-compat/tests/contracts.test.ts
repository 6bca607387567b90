import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { reasonOf } from "@attestry/service-kit";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { WorkflowContractServiceApplyResponse_ApplyStatus as ApplyStatus } from "../src/gen/controlplane/v1/workflow_contract_pb.ts";
import { type CommandLine, chainloopToken, commandLine } from "./command-line.ts";
import { refused } from "./refused.ts";

let attestry: Constellation;
let cli: CommandLine;

beforeAll(async () => {
  attestry = await startConstellation({ shape: "one-process", backend: "inline" });
  cli = commandLine(attestry.ingestUrl, await chainloopToken(attestry));
}, 60_000);
afterAll(() => attestry?.stop(), 60_000);

const text = (name: string, note: string) =>
  Buffer.from(
    `apiVersion: chainloop.dev/v1\nkind: Contract\nmetadata:\n  name: ${name}\n  description: ${note}\nspec:\n  materials:\n    - {type: SARIF, name: scan}\n  runner: {type: GITHUB_ACTION}\n`,
  );

test("init with a file creates the workflow's contract, and then its next revision", async () => {
  const asked = { workflowName: "with-file", projectName: "demo" };
  const first = await cli.attestations.findOrCreateWorkflow({
    ...asked,
    contractBytes: text("demo-with-file", "one"),
  });
  expect(first.result).toMatchObject({ contractName: "demo-with-file", contractRevisionLatest: 1 });
  const again = await cli.attestations.findOrCreateWorkflow({
    ...asked,
    contractBytes: text("demo-with-file", "one"),
  });
  expect(again.result?.contractRevisionLatest).toBe(1);
  await cli.attestations.findOrCreateWorkflow({ ...asked, contractBytes: text("demo-with-file", "two") });
  const { result } = await cli.attestations.getContract(asked);
  expect(result?.contract?.revision).toBe(2);
  expect(Buffer.from(result?.contract?.rawContract?.body ?? []).toString()).toBe(
    text("demo-with-file", "two").toString(),
  );
  expect(result?.contract?.contract.value).toMatchObject({
    schemaVersion: "v1",
    materials: [{ name: "scan" }],
    runner: { type: 1 },
  });
  const old = await cli.attestations.getContract({ ...asked, contractRevision: 1 });
  expect(old.result?.contract?.revision).toBe(1);
});

test("a run keeps to the revision that init asked for; one that is not there is refused", async () => {
  const asked = { workflowName: "with-file", projectName: "demo" };
  const { result } = await cli.attestations.init({ ...asked, contractRevision: 1 });
  expect(result?.workflowRun).toMatchObject({ contractRevisionUsed: 1, contractRevisionLatest: 2 });
  const error = await refused(cli.attestations.init({ ...asked, contractRevision: 9 }));
  expect(error.code).toBe(Code.NotFound);
  expect(error.rawMessage).toContain("contract");
});

test("a contract that is named and is not there is made, and shared by what names it next", async () => {
  for (const workflowName of ["named-one", "named-two"]) {
    const asked = { workflowName, projectName: "demo", contractName: "named" };
    const { result } = await cli.attestations.findOrCreateWorkflow(asked);
    expect(result).toMatchObject({ contractName: "named", contractRevisionLatest: 1 });
  }
  const elsewhere = cli.attestations.findOrCreateWorkflow({
    ...{ workflowName: "other", projectName: "elsewhere", contractName: "named" },
  });
  expect((await refused(elsewhere)).code).toBe(Code.NotFound);
});

test("another contract is no matter of init", async () => {
  const error = await refused(
    cli.attestations.findOrCreateWorkflow({
      workflowName: "with-file",
      projectName: "demo",
      contractName: "other",
    }),
  );
  expect(error.code).toBe(Code.InvalidArgument);
  expect(error.rawMessage).toContain("you can't change to another contract");
});

test("create, describe, update, list and apply", async () => {
  const created = await cli.contracts.create({ rawContract: text("applied", "one") });
  expect(created.result).toMatchObject({ name: "applied", latestRevision: 1 });
  expect((await refused(cli.contracts.create({ rawContract: text("applied", "one") }))).code).toBe(Code.AlreadyExists);
  const same = await cli.contracts.apply({ rawSchema: text("applied", "one") });
  expect(same).toMatchObject({ unchanged: true, status: ApplyStatus.UNCHANGED, currentRevision: 1 });
  const dry = await cli.contracts.apply({ rawSchema: text("applied", "two"), dryRun: true });
  expect(dry).toMatchObject({ changed: true, status: ApplyStatus.UPDATED, currentRevision: 1 });
  const changed = await cli.contracts.apply({ rawSchema: text("applied", "two") });
  expect(changed).toMatchObject({ changed: true, status: ApplyStatus.UPDATED, currentRevision: 2 });
  const fresh = await cli.contracts.apply({ rawSchema: text("applied-anew", "one") });
  expect(fresh).toMatchObject({ changed: true, status: ApplyStatus.CREATED, currentRevision: 1 });
  const described = await cli.contracts.describe({ name: "applied", revision: 1 });
  expect(described.result?.revision).toMatchObject({ revision: 1, contractName: "applied", description: "one" });
  const { result } = await cli.contracts.list({});
  expect(result.map(({ name }) => name)).toEqual(expect.arrayContaining(["applied", "applied-anew"]));
  expect((await refused(cli.contracts.describe({ name: "absent" }))).rawMessage).toBe("contract not found");
  const renamed = await refused(cli.contracts.update({ name: "applied", rawContract: text("other", "x") }));
  expect(renamed.rawMessage).toContain("contract name cannot be changed");
  expect((await refused(cli.contracts.create({ name: "bad", rawContract: Buffer.from("a: [") }))).code).toBe(
    Code.InvalidArgument,
  );
});

test.each([
  ["materials: [{type: SARIFF, name: scan}]", "materials.type: expected one of STRING, "],
  ["materials: [{type: SARIF, name: [1]}]", "name"],
  ["materials: [{type: SARIF, name: a}, {type: ARTIFACT, name: a}]", '"a" is there twice'],
  ["runner: {type: GITHUB}", "runner.type: expected one of GITHUB_ACTION, "],
])("a contract that the command line could not work by is refused: %s", async (line, said) => {
  const rawContract = Buffer.from(`schemaVersion: v1\n${line}\n`);
  const asked = { workflowName: "strict", projectName: "strict" };
  for (const call of [
    cli.contracts.create({ name: "strict", rawContract }),
    cli.attestations.findOrCreateWorkflow({ ...asked, contractBytes: rawContract }),
    cli.workflows.create({ name: "strict", projectName: "strict", contractBytes: rawContract }),
  ]) {
    const error = await refused(call);
    expect([reasonOf(error), error.rawMessage]).toEqual(["CONTRACT_INVALID", expect.stringContaining(said)]);
  }
  expect((await refused(cli.attestations.getContract(asked))).code).toBe(Code.NotFound);
});

test("a contract of no known shape is refused, and fields of a newer client are kept", async () => {
  const create = (text: string) => cli.contracts.create({ name: "shapes", rawContract: Buffer.from(text) });
  expect((await refused(create("a: 1"))).rawMessage).toContain("expected schemaVersion: v1");
  expect((await create("schemaVersion: v1\nnewer: 1\n")).result?.latestRevision).toBe(1);
});
