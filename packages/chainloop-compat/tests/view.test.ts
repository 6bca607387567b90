import { ByteStream } from "@attestry/api/bytestream";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { methodName } from "@attestry/service-kit";
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { AttestationService } from "../src/gen/controlplane/v1/attestation_pb.ts";
import { CASCredentialsServiceGetRequest_Role as CasRole } from "../src/gen/controlplane/v1/cas_credentials_pb.ts";
import { WorkflowRunService } from "../src/gen/controlplane/v1/workflow_run_pb.ts";
import { bundleOf, type CommandLine, chainloopToken, commandLine, initialize, sha256 } from "./command-line.ts";
import { refused } from "./refused.ts";
import { type RawAnswer, RawCaller } from "./replay/caller.ts";

let attestry: Constellation;
let cli: CommandLine;
let token: string;

beforeAll(async () => {
  attestry = await startConstellation({ shape: "one-process", backend: "filesystem" });
  token = await chainloopToken(attestry);
  cli = commandLine(attestry.ingestUrl, token);
}, 60_000);
afterAll(() => attestry?.stop(), 60_000);

test("what does not fit into one message of this client is shown without its bundle, or said to be too large", async () => {
  const padded = async (bytes: number) => {
    const workflowRunId = await initialize(cli, "large");
    const attestationBundle = bundleOf({ predicate: { annotations: { pad: "x".repeat(bytes) } } });
    await cli.attestations.store({ workflowRunId, attestationBundle });
    return workflowRunId;
  };
  const shown = await cli.runs.view({ ref: { case: "id", value: await padded(1_500_000) } });
  expect(shown.result?.attestation?.envelope.length).toBeGreaterThan(2_000_000);
  expect(shown.result?.attestation?.bundle.length).toBe(0);
  expect(shown.result?.attestation?.policyEvaluationStatus).toBeDefined();
  const error = await refused(cli.runs.view({ ref: { case: "id", value: await padded(6 * 1024 * 1024) } }));
  expect(error.rawMessage).toMatch(/attestry get sha256:[0-9a-f]{64}$/);
});

describe("to a client that takes no more than gRPC's 4 MiB", () => {
  let raw: RawCaller;
  beforeAll(() => {
    raw = new RawCaller(attestry.ingestUrl, { token, organization: "default" });
  });
  afterAll(() => raw.close());

  const call = <I extends DescMessage>(method: DescMethodUnary<I, DescMessage>, request: MessageInitShape<I>) =>
    raw.call(`/${methodName(method)}`, Buffer.from(toBinary(method.input, create(method.input, request))));
  const { view } = WorkflowRunService.method;

  async function viewed(bytes: number): Promise<RawAnswer> {
    const workflowRunId = await initialize(cli, "limits");
    const attestationBundle = bundleOf({ predicate: { pad: "x".repeat(bytes) } });
    const stored = await call(AttestationService.method.store, { workflowRunId, attestationBundle });
    expect(stored.code).toBe(0);
    return call(view, { ref: { case: "id", value: workflowRunId } });
  }

  test.each([
    ["of 1 MiB", 1024 * 1024],
    ["of 3 MiB", 2_350_000],
  ])("a bundle %s is stored and shown", async (_what, bytes) => {
    const { code, response } = await viewed(bytes);
    expect(code).toBe(0);
    const { result } = fromBinary(view.output, response ?? Buffer.alloc(0));
    expect(result?.attestation?.envelope.length).toBeGreaterThan(bytes);
  });

  test("one of 6 MiB is stored, and said to be too large to be shown", async () => {
    const { code, message } = await viewed(6 * 1024 * 1024);
    expect([code, message]).toEqual([
      Code.FailedPrecondition,
      expect.stringMatching(/attestry get sha256:[0-9a-f]{64}$/),
    ]);
  });
});

test("embedded files that do not fit are left out before the bundle, by which the attestation is verified", async () => {
  const embedded = (n: number, bytes: number) => {
    const content = Buffer.alloc(bytes, `text ${n} `);
    return {
      ...{ name: `${n}.txt`, content: content.toString("base64"), digest: { sha256: sha256(content) } },
      annotations: {
        "chainloop.material.cas.inline": true,
        "chainloop.material.name": `file-${n}`,
        "chainloop.material.type": "ARTIFACT",
      },
    };
  };
  const note = { ...embedded(9, 20), name: "note.txt" };
  const viewed = async (materials: object[]) => {
    const workflowRunId = await initialize(cli, "embedded");
    const attestationBundle = bundleOf({ predicate: { materials: [...materials, note] } });
    await cli.attestations.store({ workflowRunId, attestationBundle });
    const { attestation } = (await cli.runs.view({ ref: { case: "id", value: workflowRunId } })).result ?? {};
    return { attestation, isWhole: attestation?.bundle.length === attestationBundle.length };
  };
  const small = await viewed([embedded(1, 100_000)]);
  expect([small.isWhole, small.attestation?.materials[0]?.rawValue.length]).toEqual([true, 100_000]);
  for (const [files, bytes] of [
    [2, 400_000],
    [2, 500_000],
  ] as const) {
    const { attestation, isWhole } = await viewed(Array.from({ length: files }, (_, n) => embedded(n, bytes)));
    expect(isWhole).toBe(true);
    expect(attestation?.materials.map(({ filename }) => filename)).toEqual(["0.txt", "1.txt", "note.txt"]);
    expect(attestation?.materials.at(-1)?.value).toMatch(/^text 9/);
  }
  const large = await viewed(Array.from({ length: 3 }, (_, n) => embedded(n, 400_000)));
  expect([large.isWhole, large.attestation?.materials.length]).toEqual([false, 4]);
});

test("a predicate that is text, and one of odd parts, are shown without policies", async () => {
  for (const predicate of ["a text", null, [1], { materials: [null, 1, { annotations: 1 }], policyEvaluations: [] }]) {
    const workflowRunId = await initialize(cli, "odd");
    await cli.attestations.store({ workflowRunId, attestationBundle: bundleOf({ predicate }) });
    const { result } = await cli.runs.view({ ref: { case: "id", value: workflowRunId } });
    expect(result?.attestation?.materials).toEqual([]);
    expect(result?.attestation?.policyEvaluations).toEqual({});
    expect(result?.attestation?.policyEvaluationStatus?.summary?.status).toBe(1);
  }
});

test("policies are counted, shown and filtered by", async () => {
  const workflowRunId = await initialize(cli, "policies");
  const evaluation = {
    name: "licenses",
    materialName: "sbom",
    type: "SBOM_CYCLONEDX_JSON",
    violations: [{ subject: "a", message: "GPL", licenseViolation: { message: "m", licenseId: "GPL-3.0" } }],
    policyReference: { name: "licenses", digest: { sha256: "ab" }, annotations: { organization: "acme" } },
  };
  const predicate = {
    policyEvaluations: { sbom: [evaluation], "CHAINLOOP.ATTESTATION": [{ name: "passed", type: "" }] },
    policyHasViolations: true,
    policyEvaluationsCount: 2,
    policyViolationsCount: 1,
    policyPassedCount: 1,
    policyCheckBlockingStrategy: "ADVISORY",
  };
  await cli.attestations.store({ workflowRunId, attestationBundle: bundleOf({ predicate }) });
  const { result } = await cli.runs.view({ ref: { case: "id", value: workflowRunId } });
  const { policyEvaluations, policyEvaluationStatus } = result?.attestation ?? {};
  expect(policyEvaluations?.sbom?.evaluations[0]).toMatchObject({
    name: "licenses",
    policyReference: { organization: "acme", digest: { sha256: "ab" } },
    violations: [{ message: "GPL", finding: { case: "licenseViolation", value: { licenseId: "GPL-3.0" } } }],
  });
  expect(policyEvaluationStatus).toMatchObject({ strategy: "ADVISORY", hasViolations: true, evaluationsCount: 2 });
  expect(result?.workflowRun).toMatchObject({
    hasPolicyViolations: true,
    policySummary: { status: 4, total: 2, passed: 1, violated: 1 },
  });
  const listed = async (filter: object) =>
    (await cli.runs.list({ workflowName: "policies", projectName: "demo", ...filter })).result.length;
  expect(await listed({ policyStatus: 4 })).toBe(1);
  expect(await listed({ policyStatus: 2 })).toBe(0);
  expect(await listed({ policyViolations: 1 })).toBe(1);
  expect(await listed({ policyViolations: 2 })).toBe(0);
});

test("evaluations that do not fit into one message are left out before the bundle is", async () => {
  const predicate = {
    policyEvaluations: { sbom: [{ name: "licenses", type: "SARIF", description: "x".repeat(1_150_000) }] },
    policyEvaluationsCount: 1,
  };
  const workflowRunId = await initialize(cli, "wordy");
  const attestationBundle = bundleOf({ predicate });
  await cli.attestations.store({ workflowRunId, attestationBundle });
  const { attestation } = (await cli.runs.view({ ref: { case: "id", value: workflowRunId } })).result ?? {};
  expect(attestation?.policyEvaluations).toEqual({});
  expect(attestation?.policyEvaluationStatus?.evaluationsCount).toBe(1);
  expect(attestation?.bundle.length).toBe(attestationBundle.length);
});

test("policy evaluations that a predicate only refers to are shown; where they are not there, their counts are", async () => {
  const evaluations = [
    { name: "licenses", materialName: "sbom", type: "SARIF", policyReference: { name: "l", digest: "sha256:ab" } },
    { name: "whole", violations: [{ subject: "s", message: "m" }] },
  ];
  const blob = Buffer.from(JSON.stringify({ evaluations }));
  const { result } = await cli.cas.get({ role: CasRole.UPLOADER });
  const headers = { authorization: `Bearer ${result?.token}` };
  const name = `uploads/019ac000-0000-4000-8000-000000000000/blobs/${sha256(blob)}/${blob.length}`;
  const bytes = createClient(ByteStream, createGrpcTransport({ baseUrl: attestry.casUrl }));
  await bytes.write(oneMessage({ resourceName: name, data: blob, finishWrite: true }), { headers });

  const viewed = async (hex: string) => {
    const workflowRunId = await initialize(cli);
    const predicate = { policyEvaluationsRef: { digest: { sha256: hex } }, policyEvaluationsCount: 2 };
    await cli.attestations.store({ workflowRunId, attestationBundle: bundleOf({ predicate }) });
    return (await cli.runs.view({ ref: { case: "id", value: workflowRunId } })).result?.attestation;
  };
  const shown = (await viewed(sha256(blob)))?.policyEvaluations;
  expect(Object.keys(shown ?? {}).toSorted((a, b) => a.localeCompare(b))).toEqual(["CHAINLOOP.ATTESTATION", "sbom"]);
  expect(shown?.sbom?.evaluations[0]?.policyReference).toMatchObject({ name: "l", digest: { sha256: "ab" } });
  const missing = await viewed("0".repeat(64));
  expect(missing?.policyEvaluations).toEqual({});
  expect(missing?.policyEvaluationStatus?.evaluationsCount).toBe(2);
});

async function* oneMessage<T>(message: T): AsyncGenerator<T> {
  yield message;
}
