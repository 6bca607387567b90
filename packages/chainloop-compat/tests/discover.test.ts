import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
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

/** `attestation push` with such materials; returns the digest of the attestation. */
async function push(materials: object[], workflowRunId?: string): Promise<string> {
  const attestationBundle = bundleOf({ predicate: { materials } });
  await cli.attestations.store({ workflowRunId: workflowRunId ?? (await initialize(cli)), attestationBundle });
  return `sha256:${sha256(attestationBundle)}`;
}

/** A run of a version of the project. */
async function runOf(projectName: string, projectVersion: string): Promise<string> {
  await cli.attestations.findOrCreateWorkflow({ workflowName: "build", projectName });
  const { result } = await cli.attestations.init({ workflowName: "build", projectName, projectVersion });
  return result?.workflowRun?.id ?? "";
}

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

test("all of it says when it was made", async () => {
  const began = Date.now();
  const hex = sha256(Buffer.from("made"));
  const digest = await push([material("made", hex)]);
  for (const asked of [digest, `sha256:${hex}`]) {
    const { result } = await cli.referrers.discoverPrivate({ digest: asked });
    for (const node of [result, ...(result?.references ?? [])]) {
      const made = node?.createdAt && timestampDate(node.createdAt).getTime();
      // The column keeps milliseconds, and this machine's clock is the server's.
      expect(made).toBeGreaterThanOrEqual(began - 5);
      expect(made).toBeLessThanOrEqual(Date.now() + 5);
    }
  }
});

test("a digest of several kinds is asked for by kind, and answered by those that hold it so", async () => {
  const hex = sha256(Buffer.from("of two kinds"));
  const asFile = await push([material("file", hex)]);
  const asText = await push([material("text", hex, "STRING")]);
  const digest = `sha256:${hex}`;
  const error = await refused(cli.referrers.discoverPrivate({ digest }));
  expect(error.rawMessage).toContain('present in 2 kinds ["STRING" "ARTIFACT"]');
  for (const [kind, holder] of [
    ["ARTIFACT", asFile],
    ["STRING", asText],
  ] as const) {
    const { result } = await cli.referrers.discoverPrivate({ digest, kind });
    expect(result?.kind).toBe(kind);
    expect(result?.references.map((one) => one.digest)).toEqual([holder]);
  }
  expect((await refused(cli.referrers.discoverPrivate({ digest, kind: "SARIF" }))).code).toBe(Code.NotFound);
});

test("an attestation is found in its own project and version only", async () => {
  const digest = await push([], await runOf("web", "v1"));
  const found = (projectName: string, projectVersion = "") =>
    cli.referrers.discoverPrivate({ digest, projectName, projectVersion });
  expect((await found("web")).result?.digest).toBe(digest);
  expect((await found("web", "v1")).result?.digest).toBe(digest);
  expect((await refused(found("web", "v2"))).code).toBe(Code.NotFound);
  expect((await refused(found("other"))).code).toBe(Code.NotFound);
});

test("what is only on later pages is found by going on", async () => {
  const hex = sha256(Buffer.from("of an old version"));
  const old = await push([material("shared", hex)], await runOf("paged", "old"));
  for (let n = 0; n < 12; n++) await push([material("shared", hex)], await runOf("paged", "new"));
  const found: string[] = [];
  let cursor = "";
  let pages = 0;
  do {
    const asked = { digest: `sha256:${hex}`, projectName: "paged", projectVersion: "old" };
    const { result, pagination } = await cli.referrers.discoverPrivate({ ...asked, pagination: { limit: 1, cursor } });
    found.push(...(result?.references ?? []).map(({ digest }) => digest));
    expect(result?.digest).toBe(asked.digest);
    cursor = pagination?.nextCursor ?? "";
    pages++;
  } while (cursor !== "");
  expect(found).toEqual([old]);
  expect(pages).toBe(2);
});
