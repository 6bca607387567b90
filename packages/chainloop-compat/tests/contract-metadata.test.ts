import { ContractService } from "@attestry/api/run";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { reasonOf } from "@attestry/service-kit";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type CommandLine, chainloopToken, commandLine } from "./command-line.ts";
import { refused } from "./refused.ts";

let attestry: Constellation;
let cli: CommandLine;

beforeAll(async () => {
  attestry = await startConstellation({ shape: "one-process", backend: "inline" });
  cli = commandLine(attestry.ingestUrl, await chainloopToken(attestry));
}, 60_000);
afterAll(() => attestry?.stop(), 60_000);

const contract = (metadata: Record<string, string>, spec: object = {}) =>
  Buffer.from(JSON.stringify({ apiVersion: "chainloop.dev/v1", kind: "Contract", metadata, spec }));
const withoutMetadata = Buffer.from("schemaVersion: v1\n");

const described = async (name: string) => (await cli.contracts.describe({ name })).result;

async function listed(name: string) {
  const { result } = await cli.contracts.list({});
  return result.find((one) => one.name === name);
}

test("a contract's workflows are shown with their projects", async () => {
  const asked = { workflowName: "release", projectName: "web", contractName: "shared" };
  await cli.attestations.findOrCreateWorkflow(asked);
  const workflowRefs = [{ name: "release", projectName: "web" }];
  expect((await described("shared"))?.contract).toMatchObject({ workflowRefs });
  expect(await listed("shared")).toMatchObject({ workflowRefs });
});

describe("the description in a text", () => {
  test("is the contract's once it is created, applied or updated, whatever is said beside it", async () => {
    const created = await cli.contracts.create({
      ...{ rawContract: contract({ name: "said", description: "one" }), description: "beside" },
    });
    expect(created.result?.description).toBe("one");
    const applied = await cli.contracts.apply({ rawSchema: contract({ name: "said", description: "two" }) });
    expect(applied.result?.description).toBe("two");
    const fresh = await cli.contracts.apply({ rawSchema: contract({ name: "said-anew", description: "new" }) });
    expect(fresh.result?.description).toBe("new");
    const updated = await cli.contracts.update({
      ...{ name: "said", rawContract: contract({ name: "said", description: "three" }), description: "beside" },
    });
    expect(updated.result?.contract?.description).toBe("three");
    expect((await listed("said"))?.description).toBe("three");
    const without = await cli.contracts.update({
      ...{ name: "said", rawContract: contract({ name: "said" }), description: "beside" },
    });
    expect(without.result?.contract).toMatchObject({ description: "three", latestRevision: 4 });
  });

  test("is not there without metadata, so that what is said beside it counts", async () => {
    await cli.contracts.create({ name: "beside", rawContract: withoutMetadata, description: "one" });
    expect((await listed("beside"))?.description).toBe("one");
    await cli.contracts.update({ name: "beside", description: "two" });
    expect((await listed("beside"))?.description).toBe("two");
  });

  test("is the contract's that a workflow brings, and of its next text", async () => {
    const asked = { workflowName: "w", projectName: "init" };
    const first = contract({ name: "ctr", description: "one" });
    await cli.attestations.findOrCreateWorkflow({ ...asked, contractBytes: first });
    expect((await listed("init-w"))?.description).toBe("one");
    const next = contract({ name: "ctr", description: "two" });
    await cli.attestations.findOrCreateWorkflow({ ...asked, contractBytes: next });
    expect((await listed("init-w"))?.description).toBe("two");
    await cli.workflows.create({ name: "made", projectName: "init", contractBytes: first });
    expect((await listed("init-made"))?.description).toBe("one");
  });

  test("is no other contract's: one that the workflow only names keeps its own", async () => {
    await cli.contracts.create({ name: "kept", rawContract: withoutMetadata, description: "its own" });
    const contractBytes = contract({ name: "kept", description: "another" });
    await cli.workflows.create({ ...{ name: "w", projectName: "kept", contractName: "kept" }, contractBytes });
    expect(await listed("kept")).toMatchObject({ description: "its own", latestRevision: 1 });
  });

  test("is cut to what fits, in whole characters", async () => {
    const description = `${"a".repeat(1_023)}\u{1F600}\u{1F600}`;
    const { result } = await cli.contracts.create({ rawContract: contract({ name: "long", description }) });
    expect(result?.description).toBe(`${"a".repeat(1_023)}\u{1F600}`);
  });
});

test("a contract that came with a workflow is updated by the file that it was made from", async () => {
  await cli.attestations.findOrCreateWorkflow({
    ...{ workflowName: "w3", projectName: "web", contractBytes: contract({ name: "ctr" }) },
  });
  const update = (rawContract: Uint8Array) => cli.contracts.update({ name: "web-w3", rawContract });
  const { result } = await update(contract({ name: "ctr", description: "new" }));
  expect(result?.contract).toMatchObject({ name: "web-w3", latestRevision: 2, description: "new" });
  const renamed = await refused(update(contract({ name: "other" })));
  expect(renamed.rawMessage).toContain("contract name cannot be changed");
  expect((await update(contract({ name: "web-w3" }))).result?.contract?.latestRevision).toBe(3);
  // Known by that name no more.
  expect((await refused(update(contract({ name: "ctr" })))).rawMessage).toContain("contract name cannot be changed");
  const absent = await refused(cli.contracts.update({ name: "absent", rawContract: contract({ name: "ctr" }) }));
  expect(absent.rawMessage).toContain("contract name cannot be changed");
});

describe("policies of a server", () => {
  const policies = (ref: string) => ({ policies: { attestation: [{ ref }] } });
  test.each([
    ["the policy", "signed-commits", policies("signed-commits")],
    ["the policy", "signed-commits@sha256:abc", policies("signed-commits@sha256:abc")],
    ["the policy", "chainloop://builtin:sbom", { policies: { materials: [{ ref: "chainloop://builtin:sbom" }] } }],
    ["the policy", "./policy.yaml", policies("./policy.yaml")],
    ["the policy group", "baseline", { policyGroups: [{ ref: "baseline" }] }],
    ["the policy group", "baseline", { policy_groups: [{ ref: "baseline" }] }],
  ])("are refused where the contract comes, and not at push: %s %s in %j", async (what, ref, spec) => {
    const shapes = [contract({ name: "served" }, spec), Buffer.from(JSON.stringify({ schemaVersion: "v1", ...spec }))];
    const asked = { workflowName: "served", projectName: "served" };
    for (const text of shapes) {
      for (const call of [
        cli.contracts.create({ name: "served", rawContract: text }),
        cli.contracts.update({ name: "served", rawContract: text }),
        cli.contracts.apply({ rawSchema: text }),
        cli.attestations.findOrCreateWorkflow({ ...asked, contractBytes: text }),
        cli.workflows.create({ name: "served", projectName: "served", contractBytes: text }),
      ]) {
        const error = await refused(call);
        const said = `the contract is not valid: ${what} "${ref}" is one of a server, and none are served here; name it by file:// or https://`;
        expect([reasonOf(error), error.rawMessage]).toEqual(["CONTRACT_INVALID", said]);
      }
    }
  });

  test("are kept natively, and no others are refused", async () => {
    const text = contract({ name: "served-natively" }, policies("signed-commits"));
    const native = createClient(ContractService, createGrpcTransport({ baseUrl: attestry.runUrl }));
    const headers = { authorization: `Bearer ${attestry.adminToken}` };
    await native.create({ name: "served-natively", text }, { headers });
    expect((await described("served-natively"))?.revision?.contract.value?.policies?.attestation).toHaveLength(1);
    const embedded = { apiVersion: "chainloop.dev/v1", kind: "Policy", spec: { policies: [{ path: "./a.rego" }] } };
    const others = {
      policies: {
        attestation: [{ ref: "file://policy.yaml" }, { ref: "https://example.org/p.yaml" }],
        materials: [{ embedded }, { ref: "http://example.org/p.yaml@sha256:abc" }],
      },
      policyGroups: [{ ref: "file://group.yaml" }],
    };
    const { result } = await cli.contracts.create({ rawContract: contract({ name: "others" }, others) });
    expect(result?.latestRevision).toBe(1);
  });
});
