import { X509Certificate } from "node:crypto";
import { rename } from "node:fs/promises";
import { ByteStream } from "@attestry/api/bytestream";
import { ErrorInfoSchema } from "@attestry/api/errors";
import "reflect-metadata";
import { BackendService, Role } from "@attestry/api/run";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { reasonOf } from "@attestry/service-kit";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { AuthorityKeyIdentifierExtension, X509Certificate as PeculiarCertificate } from "@peculiar/x509";
import { AttestationServiceCancelRequest_TriggerType as Trigger } from "../src/gen/controlplane/v1/attestation_pb.ts";
import { CASCredentialsServiceGetRequest_Role as CasRole } from "../src/gen/controlplane/v1/cas_credentials_pb.ts";
import { RunStatus } from "../src/gen/controlplane/v1/run_item_pb.ts";
import { WorkflowContractServiceApplyResponse_ApplyStatus as ApplyStatus } from "../src/gen/controlplane/v1/workflow_contract_pb.ts";
import {
  bundleOf,
  type CommandLine,
  chainloopToken,
  commandLine,
  initialize,
  keylessSigner,
  material,
  sha256,
} from "./command-line.ts";
import { RawCaller } from "./replay/caller.ts";

describe("the control plane of the command line", () => {
  let attestry: Constellation;
  let cli: CommandLine;
  let token: string;

  beforeAll(async () => {
    attestry = await startConstellation({ shape: "one-process", backend: "inline" });
    token = await chainloopToken(attestry);
    cli = commandLine(attestry.ingestUrl, token);
  }, 60_000);
  afterAll(() => attestry?.stop(), 60_000);

  async function refused(call: Promise<unknown>): Promise<ConnectError> {
    const begun = performance.now();
    const error = ConnectError.from(
      await call.then(
        () => new Error("it was not refused"),
        (thrown: unknown) => thrown,
      ),
    );
    expect(error.rawMessage).not.toBe("it was not refused");
    // The command line tries these again for minutes.
    expect([Code.Unavailable, Code.Internal, Code.DeadlineExceeded, Code.ResourceExhausted]).not.toContain(error.code);
    expect(performance.now() - begun).toBeLessThan(3_000);
    expect(error.rawMessage).not.toContain("\n");
    return error;
  }

  describe("contracts", () => {
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
      expect((await refused(cli.contracts.create({ rawContract: text("applied", "one") }))).code).toBe(
        Code.AlreadyExists,
      );
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

  describe("runs", () => {
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

    test("a predicate that is text, and one of odd parts, are shown without policies", async () => {
      for (const predicate of [
        "a text",
        null,
        [1],
        { materials: [null, 1, { annotations: 1 }], policyEvaluations: [] },
      ]) {
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

    test("pages of runs have each run once, and an unknown workflow is an error", async () => {
      const ids = [];
      for (let n = 0; n < 7; n++) ids.push(await initialize(cli, "pages"));
      const seen: string[] = [];
      let cursor = "";
      do {
        const page = await cli.runs.list({
          ...{ workflowName: "pages", projectName: "demo", status: RunStatus.INITIALIZED },
          pagination: { limit: 3, cursor },
        });
        seen.push(...page.result.map(({ id }) => id));
        cursor = page.pagination?.nextCursor ?? "";
      } while (cursor !== "");
      expect(seen).toEqual(ids.toReversed());
      const error = await refused(cli.runs.list({ workflowName: "absent", projectName: "demo" }));
      expect(error.rawMessage).toBe("workflow not found");
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

    test("an attestation that names another among its materials needs it to be there", async () => {
      const first = bundleOf({});
      await cli.attestations.store({ workflowRunId: await initialize(cli), attestationBundle: first });
      const naming = (hex: string) => bundleOf({ predicate: { materials: [material("base", hex, "ATTESTATION")] } });
      const workflowRunId = await initialize(cli);
      const error = await refused(cli.attestations.store({ workflowRunId, attestationBundle: naming("0".repeat(64)) }));
      expect(error.rawMessage).toContain(`dependent attestation not found: sha256:${"0".repeat(64)}`);
      await cli.attestations.store({ workflowRunId, attestationBundle: naming(sha256(first)) });
    });
  });

  test("the remote state is kept to the byte, under its lock, until the run ends", async () => {
    const workflowRunId = await initialize(cli);
    expect((await cli.states.initialized({ workflowRunId })).result?.initialized).toBe(false);
    // A field that no version has yet.
    const attestationState = Buffer.from([0x18, 0x01, 0xfa, 0x3f, 0x02, 0x08, 0x07]);
    const first = await cli.states.save({ workflowRunId, attestationState });
    const { result } = await cli.states.read({ workflowRunId });
    expect(Buffer.compare(result?.attestationState ?? Buffer.alloc(0), attestationState)).toBe(0);
    expect(result?.digest).toBe(first.digest);
    const next = Buffer.from([0x18, 0x00]);
    await cli.states.save({ workflowRunId, attestationState: next, baseDigest: first.digest });
    const conflict = await refused(cli.states.save({ workflowRunId, attestationState, baseDigest: first.digest }));
    expect(conflict.code).toBe(Code.Aborted);
    expect(conflict.findDetails(ErrorInfoSchema).map(({ reason }) => reason)).toEqual([
      "ATTESTATION_STATE_ERROR_CONFLICT",
    ]);
    await cli.attestations.store({ workflowRunId, attestationBundle: bundleOf({}) });
    expect((await cli.states.initialized({ workflowRunId })).result?.initialized).toBe(false);
    await cli.states.reset({ workflowRunId });
  });

  test("keyless signing: what the command line verifies by is what its certificate hangs on", async () => {
    const workflowRunId = await initialize(cli);
    const signer = await keylessSigner(cli);
    const [leaf, issuer] = signer.certificates.map((pem) => new X509Certificate(pem));
    if (leaf === undefined || issuer === undefined) throw new Error("no chain was given");
    expect(leaf.verify(issuer.publicKey)).toBe(true);
    const { keys } = await cli.signing.getTrustedRoot({});
    // The client looks by the SHA-256 of the key identifier that the leaf names as its authority's.
    const named = new PeculiarCertificate(signer.certificates[0] ?? "").getExtension(AuthorityKeyIdentifierExtension);
    const id = sha256(Buffer.from(named?.keyId ?? "", "hex"));
    expect(Object.keys(keys)).toEqual([id]);
    expect(keys[id]?.certificates.map((pem) => new X509Certificate(pem).fingerprint256)).toEqual([
      issuer.fingerprint256,
    ]);
    const attestationBundle = bundleOf({}, signer);
    await cli.attestations.store({ workflowRunId, attestationBundle });
    const { result } = await cli.runs.view({ ref: { case: "id", value: workflowRunId } });
    expect(Buffer.compare(result?.attestation?.bundle ?? Buffer.alloc(0), attestationBundle)).toBe(0);

    const forged = await keylessSigner(cli);
    const other = bundleOf({}, { key: forged.key, certificates: signer.certificates });
    const error = await refused(
      cli.attestations.store({ workflowRunId: await initialize(cli), attestationBundle: other }),
    );
    expect(reasonOf(error)).toBe("SIGNATURE_INVALID");
  });

  test("discover finds what an attestation holds, and which attestations hold a material or commit", async () => {
    const hex = sha256(Buffer.from("a material of two"));
    const commit = "1".repeat(40);
    const subject = [
      { name: "chainloop.workflow.build", digest: { sha256: hex.replaceAll("a", "b") } },
      { name: "git.head", digest: { sha1: commit } },
    ];
    const digests: string[] = [];
    for (const name of ["one", "two"]) {
      const predicate = {
        metadata: { name: "build", project: "demo" },
        annotations: { n: name },
        materials: [material("shared", hex)],
      };
      const attestationBundle = bundleOf({ predicate, subject });
      await cli.attestations.store({ workflowRunId: await initialize(cli), attestationBundle });
      digests.push(`sha256:${sha256(attestationBundle)}`);
    }
    const fromMaterial = await cli.referrers.discoverPrivate({ digest: `sha256:${hex}` });
    expect(fromMaterial.result).toMatchObject({ kind: "ARTIFACT", downloadable: true });
    expect(fromMaterial.result?.references.map(({ digest }) => digest)).toEqual(digests.toReversed());
    expect(fromMaterial.result?.references[0]).toMatchObject({ kind: "ATTESTATION", metadata: { project: "demo" } });
    const fromCommit = await cli.referrers.discoverPrivate({ digest: `sha1:${commit}` });
    expect(fromCommit.result?.kind).toBe("GIT_HEAD_COMMIT");
    const fromAttestation = await cli.referrers.discoverPrivate({ digest: digests[0] ?? "" });
    expect(fromAttestation.result?.annotations).toEqual({ n: "one" });
    expect(fromAttestation.result?.references.map(({ kind }) => kind).sort()).toEqual(["ARTIFACT", "GIT_HEAD_COMMIT"]);
    const byVersion = await refused(cli.referrers.discoverPrivate({ digest: digests[0] ?? "", projectVersion: "v1" }));
    expect(byVersion.code).toBe(Code.InvalidArgument);
    const large = bundleOf({ predicate: { materials: [material("shared", hex)], pad: "x".repeat(3_500_000) } });
    await cli.attestations.store({ workflowRunId: await initialize(cli), attestationBundle: large });
    const ofLarge = await cli.referrers.discoverPrivate({ digest: `sha256:${sha256(large)}` });
    expect(ofLarge.result).toMatchObject({ kind: "ATTESTATION", downloadable: true, references: [] });
    const withLarge = await cli.referrers.discoverPrivate({ digest: `sha256:${hex}` });
    expect(withLarge.result?.references).toHaveLength(3);
    const absent = await refused(cli.referrers.discoverPrivate({ digest: `sha256:${"2".repeat(64)}` }));
    expect(absent.code).toBe(Code.NotFound);
  });

  test("workflows are created once, viewed, filtered and counted in pages", async () => {
    await cli.workflows.create({ name: "made", projectName: "listed", team: "core", description: "nightly" });
    expect((await refused(cli.workflows.create({ name: "made", projectName: "listed" }))).code).toBe(
      Code.AlreadyExists,
    );
    await cli.workflows.create({ name: "other", projectName: "listed", contractName: "listed-shared" });
    expect((await cli.contracts.describe({ name: "listed-shared" })).result?.contract?.latestRevision).toBe(1);
    const { result } = await cli.workflows.view({ name: "made", projectName: "listed" });
    expect(result).toMatchObject({ team: "core", description: "nightly", contractName: "listed-made" });
    const page = await cli.workflows.list({ projectNames: ["listed"], pagination: { page: 2, pageSize: 1 } });
    expect(page.result.map(({ name }) => name)).toEqual(["made"]);
    expect(page.pagination).toMatchObject({ page: 2, pageSize: 1, totalCount: 2, totalPages: 2 });
    const byTeam = await cli.workflows.list({ workflowTeam: "cor" });
    expect(byTeam.result.map(({ name }) => name)).toEqual(["made"]);
  });

  test("a newer client's fields are passed over, and a call that is not served is named", async () => {
    const raw = new RawCaller(attestry.ingestUrl, { token, organization: "default" });
    try {
      // FindOrCreateWorkflow{workflow_name, project_name} and a field 99.
      const request = Buffer.concat([
        Buffer.from([0x22, 5, ...Buffer.from("build"), 0x2a, 4, ...Buffer.from("demo")]),
        Buffer.from([0x9a, 0x06, 3, ...Buffer.from("new")]),
      ]);
      const answer = await raw.call("/controlplane.v1.AttestationService/FindOrCreateWorkflow", request);
      expect(answer.code).toBe(0);
      const unknown = await raw.call("/controlplane.v1.IntegrationsService/ListRegistrations", Buffer.alloc(0));
      expect(unknown.code).toBe(Code.Unimplemented);
      expect(unknown.message).toContain("controlplane.v1.IntegrationsService/ListRegistrations");
    } finally {
      raw.close();
    }
  });

  test("tokens: none, a reader's, and what says who it is", async () => {
    const reader = commandLine(attestry.ingestUrl, await chainloopToken(attestry, Role.READER));
    expect((await refused(reader.attestations.init({ workflowName: "build", projectName: "demo" }))).code).toBe(
      Code.PermissionDenied,
    );
    expect((await reader.runs.list({})).result.length).toBeGreaterThan(0);
    const nobody = commandLine(attestry.ingestUrl, "");
    expect((await refused(nobody.runs.list({}))).code).toBe(Code.Unauthenticated);
    expect((await nobody.status.infoz({})).version).not.toBe("");
  });
});

describe("with a CAS", () => {
  let attestry: Constellation;
  let cli: CommandLine;

  beforeAll(async () => {
    attestry = await startConstellation({ shape: "one-process", backend: "filesystem" });
    cli = commandLine(attestry.ingestUrl, await chainloopToken(attestry));
  }, 60_000);
  afterAll(() => attestry?.stop(), 60_000);

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

  test("a CAS that cannot be reached is named by init, with its fault; lists go on", async () => {
    await initialize(cli, "before");
    await rename(attestry.casDir, `${attestry.casDir}-gone`);
    try {
      const backends = createClient(BackendService, createGrpcTransport({ baseUrl: attestry.runUrl }));
      const headers = { authorization: `Bearer ${attestry.adminToken}` };
      const { backend } = await backends.validate({ name: "local" }, { headers });
      const asked = { workflowName: "before", projectName: "demo" };
      const error = ConnectError.from(await cli.attestations.init(asked).catch((thrown: unknown) => thrown));
      expect([error.code, error.rawMessage]).toEqual([
        Code.FailedPrecondition,
        `the CAS backend local can't be reached: ${backend?.validationError}`,
      ]);
      expect((await cli.runs.list({})).result.length).toBeGreaterThan(0);
    } finally {
      await rename(`${attestry.casDir}-gone`, attestry.casDir);
    }
  });
});

async function* oneMessage<T>(message: T): AsyncGenerator<T> {
  yield message;
}

test("switched off, nothing of it is there", async () => {
  const attestry = await startConstellation({
    shape: "one-process",
    backend: "inline",
    env: { CHAINLOOP_COMPAT: "false" },
  });
  try {
    const cli = commandLine(attestry.ingestUrl, attestry.adminToken);
    const call = cli.runs.list({});
    await expect(call).rejects.toMatchObject({ code: Code.Unimplemented });
  } finally {
    await attestry.stop();
  }
}, 60_000);
