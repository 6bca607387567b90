import { X509Certificate } from "node:crypto";
import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { ErrorInfoSchema } from "@attestry/api/errors";
import "reflect-metadata";
import { Role } from "@attestry/api/run";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { reasonOf } from "@attestry/service-kit";
import { createSigningAuthorityFiles } from "@attestry/service-kit/certificates";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { AuthorityKeyIdentifierExtension, X509Certificate as PeculiarCertificate } from "@peculiar/x509";
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
import { refused } from "./refused.ts";
import { RawCaller } from "./replay/caller.ts";

let attestry: Constellation;
let cli: CommandLine;
let token: string;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-chainloop-"));
  attestry = await startConstellation({ shape: "one-process", backend: "inline", env: await signingAfter(folder) });
  token = await chainloopToken(attestry);
  cli = commandLine(attestry.ingestUrl, token);
}, 60_000);
afterAll(async () => {
  await attestry?.stop();
  await rm(folder, { recursive: true });
}, 60_000);

/** The settings of a signing authority that had one before it. */
async function signingAfter(folder: string): Promise<Record<string, string>> {
  const present = await createSigningAuthorityFiles(path.join(folder, "present"));
  const former = await createSigningAuthorityFiles(path.join(folder, "former"));
  await appendFile(present.certFile, await readFile(former.certFile));
  return { SIGNING_CA_CERT_FILE: present.certFile, SIGNING_CA_KEY_FILE: present.keyFile };
}

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
  expect(Object.keys(keys)).toHaveLength(2);
  expect(keys[id]?.certificates.map((pem) => new X509Certificate(pem).fingerprint256)).toEqual([issuer.fingerprint256]);
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
  const asked = { workflowName: "build", projectName: "demo" };
  const released = (await cli.attestations.init({ ...asked, projectVersion: "v7" })).result?.workflowRun?.id ?? "";
  const ofVersion = bundleOf({ predicate: { materials: [material("shared", hex)] } });
  await cli.attestations.store({ workflowRunId: released, attestationBundle: ofVersion });
  const found = async (projectVersion: string) =>
    (await cli.referrers.discoverPrivate({ digest: `sha256:${hex}`, projectName: "demo", projectVersion })).result;
  expect((await found("v7"))?.references.map(({ digest }) => digest)).toEqual([`sha256:${sha256(ofVersion)}`]);
  expect((await found("v0"))?.references.map(({ digest }) => digest)).toEqual(digests.toReversed());
  expect((await refused(found("v8"))).code).toBe(Code.NotFound);
  const large = bundleOf({ predicate: { materials: [material("shared", hex)], pad: "x".repeat(3_500_000) } });
  await cli.attestations.store({ workflowRunId: await initialize(cli), attestationBundle: large });
  const ofLarge = await cli.referrers.discoverPrivate({ digest: `sha256:${sha256(large)}` });
  expect(ofLarge.result).toMatchObject({ kind: "ATTESTATION", downloadable: true, references: [] });
  const withLarge = await cli.referrers.discoverPrivate({ digest: `sha256:${hex}` });
  expect(withLarge.result?.references).toHaveLength(4);
  const absent = await refused(cli.referrers.discoverPrivate({ digest: `sha256:${"2".repeat(64)}` }));
  expect(absent.code).toBe(Code.NotFound);
});

test("workflows are created once, viewed, filtered and counted in pages", async () => {
  await cli.workflows.create({ name: "made", projectName: "listed", team: "core", description: "nightly" });
  expect((await refused(cli.workflows.create({ name: "made", projectName: "listed" }))).code).toBe(Code.AlreadyExists);
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
