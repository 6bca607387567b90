import { PolicyStatus, RunState } from "@attestry/api/run";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { type Clients, clientsOf, startRun } from "./clients.ts";
import { digestOf, fixture } from "./fixtures.ts";
import { refusal } from "./refusals.ts";

const file = { name: "file", digest: { sha256: "ab".repeat(32) } };
const blocked = {
  policyEvaluationsCount: 3,
  policyPassedCount: 2,
  policyViolationsCount: 1,
  policyHasViolations: true,
  policyCheckBlockingStrategy: "ENFORCED",
};

/** A bare envelope with the predicate; it carries no key, since no signature of it is good. */
function chainloop(predicate: object): Buffer {
  const bundle = JSON.parse(fixture("chainloop-v0.3.json").toString());
  const statement = JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, "base64").toString());
  bundle.dsseEnvelope.payload = Buffer.from(JSON.stringify({ ...statement, predicate })).toString("base64");
  return Buffer.from(JSON.stringify(bundle.dsseEnvelope));
}

const naming = (digest: string) => ({
  materials: [
    {
      digest: { sha256: digest.replace("sha256:", "") },
      annotations: { "chainloop.material.type": "ATTESTATION" },
    },
  ],
});

describe.each(["one-process", "processes"] as const)("what a predicate of Chainloop says, %s", (shape) => {
  let attestry: Constellation;
  let clients: Clients;

  beforeAll(async () => {
    attestry = await startConstellation({ shape, backend: "filesystem" });
    clients = clientsOf(attestry, attestry.adminToken);
  }, 60_000);
  afterAll(() => attestry?.stop(), 60_000);

  async function store(bundle: Buffer): Promise<string> {
    const runId = await startRun(clients);
    await clients.attestations.store({ runId, bundle });
    return runId;
  }

  test("comes to its run, and both are found by it", async () => {
    const runId = await store(chainloop({ ...blocked, materials: [file] }));
    const signed = await store(fixture("chainloop-cli-63k.json"));
    const other = await store(fixture("C02-string-predicate.json"));
    const { run } = await clients.runs.get({ by: { case: "runId", value: runId } });
    expect(run).toMatchObject({
      state: RunState.SUCCESS,
      policySummary: { status: PolicyStatus.BLOCKED, total: 3, passed: 2, violated: 1, hasGates: true },
    });
    const { runs: violated } = await clients.runs.list({ hasPolicyViolations: true });
    expect(violated.map(({ id }) => id)).toEqual([runId]);
    const { runs: without } = await clients.runs.list({ policyStatus: PolicyStatus.NOT_APPLICABLE });
    expect(without.map(({ id, policySummary }) => [id, policySummary?.status])).toEqual([
      [other, undefined],
      [signed, PolicyStatus.NOT_APPLICABLE],
    ]);
    const materialDigest = `sha256:${file.digest.sha256}`;
    const { attestations } = await clients.attestations.list({ materialDigest });
    expect(attestations.map((attestation) => attestation.runId)).toEqual([runId]);
  });

  test("names an attestation that must be stored", async () => {
    const dependency = chainloop({ note: "a dependency" });
    const digest = digestOf(dependency);
    const bundle = chainloop(naming(digest));
    const runId = await startRun(clients);
    const refused = await refusal(clients.attestations.store({ runId, bundle }));
    expect(refused).toMatchObject({ code: "InvalidArgument", reason: "DEPENDENCY_NOT_FOUND" });
    await store(dependency);
    await clients.attestations.store({ runId, bundle });
  });
});
