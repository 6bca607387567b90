import { CredentialService } from "@attestry/api/run";
import { describeWith } from "@attestry/dev-env";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { ResourceService } from "../../chainloop-compat/src/cas/index.ts";
import { chainloopBundle, sha256 } from "./chainloop-bundle.ts";
import { createImportEnv, type ImportEnv } from "./chainloop-import-env.ts";
import type { ChainloopVersion } from "./chainloop-source.ts";
import { cliOf } from "./cli-of.ts";
import { grpcTransport } from "./strict-store.ts";

jest.setTimeout(120_000);

describeWith(["minio"], "import chainloop keeps", () => {
  let constellation: Constellation;
  let json: ReturnType<typeof cliOf>["json"];
  const envs: ImportEnv[] = [];

  beforeAll(async () => {
    constellation = await startConstellation({ shape: "one-process", backend: "filesystem" });
    ({ json } = cliOf(constellation));
  });

  afterAll(async () => {
    for (const env of envs) await env.remove();
    await constellation?.stop();
  });

  async function chainloop(version: ChainloopVersion = "2026"): Promise<ImportEnv> {
    const env = await createImportEnv(constellation, version);
    envs.push(env);
    return env;
  }

  /** What chainloop's `artifact download` would call the file. */
  async function fileNameOf(bytes: Uint8Array): Promise<string | undefined> {
    const digest = sha256(bytes);
    const credentials = createClient(CredentialService, grpcTransport(constellation.runUrl));
    const headers = { authorization: `Bearer ${constellation.adminToken}` };
    const purpose = { case: "download", value: { digest } } as const;
    const { token } = await credentials.issueCasToken({ purpose }, { headers });
    const resources = createClient(ResourceService, grpcTransport(constellation.casUrl));
    const asked = { digest: digest.slice("sha256:".length) };
    const { result } = await resources.describe(asked, { headers: { authorization: `Bearer ${token}` } });
    return result?.fileName;
  }

  test.each(["2025-01", "2026"] as const)("the revision that each run used, of %s", async (version) => {
    const env = await chainloop(version);
    const { source } = env;
    const project = `revisions-${version}`;
    const add = async (contractRevision?: number) => {
      const bundle = chainloopBundle();
      const used = contractRevision === undefined ? {} : { contractRevision };
      await source.addRun({ bundle, digest: sha256(bundle), project, ...used });
    };
    await source.addRun({ project });
    const texts = ["a: 1\n", "a: 1\n", "a: 2\n", "a: 3\n"];
    await source.addTexts(`${project}-build`, texts);
    for (const used of [1, 2, 3, 4, undefined, 3]) await add(used);
    const { answer, code, stderr } = await env.import();
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(answer).toMatchObject({ attestations: { imported: 6, ofLatestRevision: 1 }, faults: [] });
    const revisions = async () => {
      const listed = await json<{ runs: { contractRevision: number }[] }>("run", "list", "--workflow", project);
      return listed.runs.map(({ contractRevision }) => contractRevision).toReversed();
    };
    expect(await revisions()).toEqual([1, 1, 2, 3, 3, 2]);

    // What came since, on contracts that are here now.
    await source.addTexts(`${project}-build`, ["a: 4\n"]);
    for (const used of [5, 1]) await add(used);
    expect((await env.import()).answer).toMatchObject({ attestations: { imported: 2, ofLatestRevision: 0 } });
    expect(await revisions()).toEqual([1, 1, 2, 3, 3, 2, 4, 1]);
  });

  test("the names of files: those of the bucket, else those of the attestation, and no paths", async () => {
    const env = await chainloop();
    const named: [metadata: string | undefined, predicate: string | undefined, kept: string | undefined][] = [
      ["in the bucket.txt", "attested.txt", "in the bucket.txt"],
      ["../../etc/passwd", "attested.txt", "passwd"],
      ["..", "attested.txt", "attested.txt"],
      ["x".repeat(1_025), "dir/attested.txt", "attested.txt"],
      [undefined, "ünï 📦.txt", "ünï 📦.txt"],
      ["=?UTF-8?Q?=C3=BCn=C3=AF.txt?=", "dir\\ünï.txt", "ünï.txt"],
      [undefined, "y".repeat(1_025), undefined],
      [undefined, `${"語".repeat(341)}.`, `${"語".repeat(341)}.`],
      [undefined, "line\nbreak", undefined],
      [undefined, undefined, undefined],
    ];
    const materials = named.map((_names, index) => Buffer.alloc(index === 0 ? 9_000_000 : 100, `material ${index}\n`));
    for (const [index, [metadata]] of named.entries()) {
      const fields: Record<string, string> = metadata === undefined ? {} : { Filename: metadata };
      await env.putObject(materials[index] ?? Buffer.of(), undefined, fields);
    }
    const bundle = chainloopBundle(
      materials,
      {},
      named.map(([, predicate]) => predicate),
    );
    await env.source.addRun({ bundle, digest: sha256(bundle), project: "names" });
    const { answer, stderr } = await env.import();
    expect(stderr).toBe("");
    expect(answer).toMatchObject({ materials: { uploaded: named.length }, faults: [] });
    const kept = await Promise.all(materials.map(fileNameOf));
    expect(kept).toEqual(named.map(([, , name], index) => name ?? sha256(materials[index] ?? Buffer.of()).slice(7)));
  });
});
