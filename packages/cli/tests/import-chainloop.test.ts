import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describeWith } from "@attestry/dev-env";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { chainloopBundle, sha256 } from "./chainloop-bundle.ts";
import { createImportEnv, type ImportEnv } from "./chainloop-import-env.ts";
import type { ChainloopVersion } from "./chainloop-source.ts";
import { cliOf } from "./cli-of.ts";

jest.setTimeout(120_000);

const recorded = (name: string) => readFile(path.resolve(import.meta.dirname, "fixtures/chainloop", `${name}.json`));
/** What the recorded attestation names: a large file, twice, and a small one. */
const large = Buffer.alloc(1_200_000, "attestry fixture line\n");
const small = Buffer.from("some release artifact\n");

describeWith(["minio"], "import chainloop", () => {
  let constellation: Constellation;
  let cli: ReturnType<typeof cliOf>["cli"];
  let json: ReturnType<typeof cliOf>["json"];
  const envs: ImportEnv[] = [];
  const folders: string[] = [];

  beforeAll(async () => {
    constellation = await startConstellation({ shape: "one-process", backend: "filesystem" });
    ({ cli, json } = cliOf(constellation));
  });

  afterAll(async () => {
    for (const env of envs) await env.remove();
    for (const folder of folders) await rm(folder, { recursive: true });
    await constellation?.stop();
  });

  async function chainloop(version: ChainloopVersion = "2026"): Promise<ImportEnv> {
    const env = await createImportEnv(constellation, version);
    envs.push(env);
    return env;
  }

  async function folderWith(bytes: Uint8Array): Promise<string> {
    const folder = await mkdtemp(path.join(tmpdir(), "attestry-import-"));
    folders.push(folder);
    await writeFile(path.join(folder, "file"), bytes);
    return folder;
  }

  async function stored(digest: string): Promise<Buffer> {
    const { code, stdoutBytes, stderr } = await cli(["get", digest]);
    if (code !== 0) throw new Error(stderr);
    return stdoutBytes;
  }

  test.each(["2025-01", "2026"] as const)("a whole installation of %s, and again: nothing twice", async (version) => {
    const env = await chainloop(version);
    const { source } = env;
    const bundles = await Promise.all(["cas-materials", "inline-materials", "no-materials"].map(recorded));
    // Another version must not have stored the same bytes before.
    const unique = version === "2026" ? bundles : bundles.map((bytes) => Buffer.concat([bytes, Buffer.from("\n")]));
    for (const [index, bundle] of unique.entries()) {
      const run = { bundle, digest: sha256(bundle), jobUrl: `https://ci.example.test/${version}/${index}` };
      await source.addRun({ ...run, project: `whole-${version}` });
    }
    await source.addRun({ state: "error" });
    const large2 = Buffer.concat([large, Buffer.from(version)]);
    const more = chainloopBundle([large2]);
    await source.addRun({ bundle: more, digest: sha256(more), project: `whole-${version}`, workflow: "other" });
    for (const material of [large, small, large2]) await env.putObject(material);

    const first = await env.import();
    expect(first.stderr).toBe("");
    expect(first.code).toBe(0);
    const sizeBytes = [...unique, more].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(first.answer).toMatchObject({
      organization: "acme",
      dryRun: false,
      attestations: { imported: 4, present: 0, sizeBytes },
      failed: { attestations: 0, materials: 0 },
      faults: [],
    });
    for (const bundle of [...unique, more]) expect((await stored(sha256(bundle))).equals(bundle)).toBe(true);
    for (const material of [large, small, large2]) {
      expect((await cli(["blob", "get", sha256(material)])).stdoutBytes.equals(material)).toBe(true);
    }
    const { runs } = await json<{ runs: { jobUrl: string; state: string }[] }>(
      ...["run", "list", "--workflow", `whole-${version}/build`],
    );
    // Newest first. Whoever imported them started and stored them.
    const { tokens } = await json<{ tokens: { id: string; name: string }[] }>("token", "list");
    const tokenId = tokens.find(({ name }) => name === "admin")?.id ?? "no token";
    expect(runs).toMatchObject(
      [2, 1, 0].map((n) => ({ jobUrl: `https://ci.example.test/${version}/${n}`, state: "success", tokenId })),
    );
    expect(await json("list", "--workflow", `whole-${version}/build`)).toMatchObject({
      attestations: Array(3).fill({ tokenId }),
    });

    const second = await env.import();
    expect(second.code).toBe(0);
    expect(second.stderr).toContain("going on after 4 attestations");
    expect(second.answer).toMatchObject({ attestations: { imported: 0, present: 4 }, materials: { uploaded: 0 } });
    const third = await env.import(["--from-scratch"]);
    expect(third.answer).toMatchObject({
      attestations: { imported: 0, present: 4, sizeBytes: 0 },
      materials: { uploaded: 0, present: 3, sizeBytes: 0 },
    });
    const after = await json<{ runs: unknown[] }>("run", "list", "--workflow", `whole-${version}/build`);
    expect(after.runs).toHaveLength(3);
  });

  test("a dry run reads and verifies all of it, and writes nothing", async () => {
    const env = await chainloop();
    const [good, corrupt] = [Buffer.from("a material"), Buffer.from("one that rotted")];
    await env.putObject(good);
    await env.putObject(Buffer.from("one that rotten"), sha256(corrupt));
    const bundles = [chainloopBundle([good]), chainloopBundle([corrupt])];
    for (const bundle of bundles) await env.source.addRun({ bundle, digest: sha256(bundle), project: "dry" });
    // No server is asked.
    const { code, answer, stderr } = await env.import(["--dry-run"], { env: { ATTESTRY_ADDR: "http://127.0.0.1:1" } });
    expect(answer).toMatchObject({
      dryRun: true,
      progressFile: null,
      attestations: { imported: 2 },
      materials: { uploaded: 1, sizeBytes: good.byteLength },
      faults: [{ what: "material", digest: sha256(corrupt), reason: "SOURCE_CORRUPT" }],
    });
    expect(stderr).toContain(`material ${sha256(corrupt)}: error: expected bytes with the digest`);
    expect(code).toBe(6);
    expect((await json<{ runs: unknown[] }>("run", "list", "--workflow", "dry")).runs).toEqual([]);
  });

  test("what is damaged is named and left, the rest goes on, and mended it is imported", async () => {
    const env = await chainloop();
    const { source } = env;
    const [missing, corrupt, fine] = ["is missing", "is corrupt", "is fine"].map((text) => Buffer.from(text)) as [
      Buffer,
      Buffer,
      Buffer,
    ];
    await env.putObject(fine);
    await env.putObject(Buffer.from("is other"), sha256(corrupt));
    const withMaterials = chainloopBundle([missing, corrupt, fine]);
    const altered = chainloopBundle();
    const whole = chainloopBundle();
    const nowhere = chainloopBundle();
    const add = (bundle: Uint8Array | undefined, digest: string) =>
      source.addRun({ bundle, digest, project: "damaged" });
    await add(withMaterials, sha256(withMaterials));
    const alteredRun = await add(Buffer.concat([altered, Buffer.from(" ")]), sha256(altered));
    await add(undefined, sha256(nowhere));
    const noBundle = Buffer.from('{"no":"bundle"}');
    const refusedRun = await add(noBundle, sha256(noBundle));
    await add(whole, sha256(whole));

    const { code, answer, stderr } = await env.import();
    expect(code).toBe(6);
    expect(answer).toMatchObject({
      attestations: { imported: 2, present: 0 },
      materials: { uploaded: 1, present: 0 },
      failed: { attestations: 3, materials: 2 },
    });
    expect(new Map(answer.faults.map(({ digest, reason }) => [digest, reason]))).toEqual(
      new Map([
        [sha256(missing), "SOURCE_MISSING"],
        [sha256(corrupt), "SOURCE_CORRUPT"],
        [sha256(altered), "SOURCE_CORRUPT"],
        [sha256(nowhere), "SOURCE_MISSING"],
        [sha256(noBundle), "BUNDLE_MALFORMED"],
      ]),
    );
    expect(stderr).toContain(`run ${refusedRun} of damaged/build: attestation ${sha256(noBundle)}: error: `);
    expect(stderr).toContain("error: 3 attestations and 2 materials could not be imported (IMPORT_INCOMPLETE)");
    expect((await stored(sha256(withMaterials))).equals(withMaterials)).toBe(true);
    expect((await cli(["get", sha256(altered)])).code).toBe(3);

    await env.putObject(missing);
    await env.putObject(corrupt);
    await env.putObject(nowhere);
    await source.query("update attestations set bundle = $2 where workflowrun_id = $1", [alteredRun, altered]);
    await source.query("delete from attestations where workflowrun_id = $1", [refusedRun]);
    await source.query("update workflow_runs set attestation_digest = null where id = $1", [refusedRun]);
    const again = await env.import();
    expect(again.answer).toMatchObject({
      attestations: { imported: 2, present: 2 },
      materials: { uploaded: 2, present: 1 },
      faults: [],
    });
    expect(again.code).toBe(0);
    expect((await stored(sha256(nowhere))).equals(nowhere)).toBe(true);
  });

  test("a run from before there were bundles is named and not imported", async () => {
    const env = await chainloop("2025-01");
    const bundle = chainloopBundle();
    const legacyEnvelope = { payloadType: "application/vnd.in-toto+json", payload: "e30=", signatures: [] };
    const withoutDigest = await env.source.addRun({ legacyEnvelope });
    const withDigest = await env.source.addRun({ legacyEnvelope, digest: sha256(chainloopBundle()) });
    await env.source.addRun({ bundle, digest: sha256(bundle), project: "legacy" });
    const { code, answer, stderr } = await env.import();
    expect(answer).toMatchObject({
      attestations: { imported: 1 },
      legacy: { count: 2, runIds: [withoutDigest, withDigest] },
      faults: [],
    });
    expect(stderr).toContain(`run ${withDigest} of demo/build: not imported: it is from before chainloop kept bundles`);
    expect(code).toBe(0);
    expect((await env.import()).answer).toMatchObject({
      attestations: { imported: 0, present: 1 },
      legacy: { count: 2 },
    });
  });

  test("of several organizations one is named; only its runs are imported", async () => {
    const env = await chainloop();
    const [ours, theirs] = [chainloopBundle(), chainloopBundle()];
    await env.source.addRun({ bundle: ours, digest: sha256(ours), project: "several" });
    await env.source.addRun({ bundle: theirs, digest: sha256(theirs), organization: "globex", project: "several" });
    const unnamed = await env.import();
    expect(unnamed.stderr).toContain(
      "error: --organization: expected one of chainloop's organizations; there are: acme, globex",
    );
    expect(unnamed.code).toBe(2);
    const unknown = await env.import(["--organization", "initech"]);
    expect(unknown.stderr).toContain("there are: acme, globex (ORGANIZATION_NOT_FOUND)");
    expect(unknown.code).toBe(3);
    const { secret } = await json<{ secret: string }>("token", "create", "--role", "ci", "--name", "import");
    const named = await env.import(["--organization", "globex"], { env: { ATTESTRY_TOKEN: secret } });
    expect(named.answer).toMatchObject({ organization: "globex", attestations: { imported: 1 } });
    expect((await cli(["get", sha256(ours)])).code).toBe(3);
    expect((await stored(sha256(theirs))).equals(theirs)).toBe(true);
  });

  test("without a bucket the attestations of the database are imported, and what is elsewhere is named", async () => {
    const env = await chainloop();
    await env.source.addBackend("acme", "AWS-S3", "https://minio.example.test/chainloop");
    const bundle = chainloopBundle([Buffer.from("in the bucket")]);
    await env.source.addRun({ bundle, digest: sha256(bundle), project: "no-bucket" });
    const args = ["import", "chainloop", "--database", env.source.url];
    const { code, stderr } = await cli(args, { env: { XDG_STATE_HOME: env.stateDir } });
    expect(stderr).toContain(
      "no --backend is given: nothing is read of what chainloop kept in AWS-S3 https://minio.example.test/chainloop",
    );
    expect(stderr).toContain("no bucket was named to look for it in (SOURCE_MISSING)");
    expect(code).toBe(6);
    expect((await stored(sha256(bundle))).equals(bundle)).toBe(true);
  });

  test("--to names the backend for the materials", async () => {
    const env = await chainloop();
    const material = Buffer.from("goes to another backend");
    await env.putObject(material);
    const bundle = chainloopBundle([material]);
    await env.source.addRun({ bundle, digest: sha256(bundle), project: "to" });
    const unknown = await env.import(["--to", "nowhere"]);
    expect(unknown.stderr).toContain("(BACKEND_NOT_FOUND)");
    expect(unknown.code).toBe(3);
    await json(
      "backend",
      "add",
      "second",
      "--provider",
      "filesystem",
      "--secret-ref",
      "_shared/local",
      "--prefix",
      "s",
    );
    expect((await env.import(["--to", "second"])).answer).toMatchObject({ materials: { uploaded: 1 }, faults: [] });
    const blob = await cli(["blob", "sync", await folderWith(material), "--backend", "second"]);
    expect(blob.stdout).toContain(`present ${sha256(material)}`);
  });
});
