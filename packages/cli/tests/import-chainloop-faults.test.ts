import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describeWith, startTcpProxy } from "@attestry/dev-env";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { chainloopBundle, sha256 } from "./chainloop-bundle.ts";
import { createImportEnv, type ImportEnv } from "./chainloop-import-env.ts";
import type { ChainloopVersion } from "./chainloop-source.ts";
import { cliOf } from "./cli-of.ts";

jest.setTimeout(240_000);

const fixtures = path.resolve(import.meta.dirname, "../../bundle/tests/fixtures");

interface Run {
  id: string;
  state: string;
  attestationDigest: string;
  reason: string;
}

describeWith(["minio"], "import chainloop, on a bad day", () => {
  let constellation: Constellation;
  let cli: ReturnType<typeof cliOf>["cli"];
  let json: ReturnType<typeof cliOf>["json"];
  const envs: ImportEnv[] = [];

  beforeAll(async () => {
    constellation = await startConstellation({ shape: "one-process", backend: "filesystem" });
    ({ cli, json } = cliOf(constellation));
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

  async function addRuns(env: ImportEnv, project: string, count: number): Promise<string[]> {
    const digests: string[] = [];
    for (let index = 0; index < count; index++) {
      const bundle = chainloopBundle();
      digests.push(sha256(bundle));
      await env.source.addRun({ bundle, digest: sha256(bundle), project });
    }
    return digests;
  }

  /** Newest first. */
  async function runsOf(project: string): Promise<Run[]> {
    return (await json<{ runs: Run[] }>("run", "list", "--workflow", project, "--limit", "5000")).runs;
  }

  test("more runs than a page has, through a kill and an interrupt: each once, in order", async () => {
    const env = await chainloop();
    const digests = await addRuns(env, "many", 1_200);
    const proxy = await startTcpProxy(Number(new URL(constellation.ingestUrl).port));
    const url = `http://127.0.0.1:${proxy.port}`;
    const through = { ATTESTRY_ADDR: url, ATTESTRY_RUN_ADDR: url, ATTESTRY_CAS_ADDR: url };
    try {
      const killed = await env.import([], { env: through, killWhen: () => proxy.passed.up > 300_000 });
      expect(killed.code).toBe(128);
      const afterKill = (await runsOf("many")).length;
      expect(afterKill).toBeGreaterThan(100);
      expect(afterKill).toBeLessThan(1_200);

      const before = proxy.passed.up;
      const ended = await env.import([], { env: through, interruptWhen: () => proxy.passed.up > before + 300_000 });
      expect(ended.code).toBe(130);
      expect(ended.stderr).toContain("going on after ");
      expect(ended.stderr).toContain("not all was imported; the same command goes on from here");
      expect(ended.answer.attestations.imported).toBeGreaterThan(0);
      expect(await runsOf("many")).not.toHaveLength(1_200);

      const last = await env.import();
      expect(last.stderr).not.toContain("error");
      expect(last.code).toBe(0);
      const { imported, present } = last.answer.attestations;
      expect(imported + present).toBe(1_200);
      const runs = await runsOf("many");
      expect(runs.map(({ attestationDigest }) => attestationDigest)).toEqual(digests.toReversed());
      expect(new Set(runs.map(({ state }) => state))).toEqual(new Set(["success"]));
    } finally {
      await proxy.close();
    }
  });

  test("bundles that are only in the bucket", async () => {
    const env = await chainloop();
    const material = Buffer.from("a material of one in the bucket");
    await env.putObject(material);
    const bundles = [chainloopBundle([material]), ...Array.from({ length: 20 }, () => chainloopBundle())];
    for (const bundle of bundles) {
      await env.putObject(bundle);
      await env.source.addRun({ digest: sha256(bundle), project: "bucket" });
    }
    const { answer, code } = await env.import();
    expect(answer).toMatchObject({ attestations: { imported: 21 }, materials: { uploaded: 1 }, faults: [] });
    expect(code).toBe(0);
    for (const bundle of bundles) expect((await cli(["get", sha256(bundle)])).stdoutBytes.equals(bundle)).toBe(true);
  });

  test("a material goes on where the connection to the bucket broke", async () => {
    const env = await chainloop();
    const material = Buffer.alloc(9_000_000, "the line to the bucket is bad\n");
    await env.putObject(material);
    const bundle = chainloopBundle([material]);
    await env.source.addRun({ bundle, digest: sha256(bundle), project: "broken" });
    const proxy = await startTcpProxy(Number(new URL(env.bucket.endpoint).port));
    await writeFile(env.bucketFile, JSON.stringify({ ...env.bucket, endpoint: `http://127.0.0.1:${proxy.port}` }));
    const cut = { cutAfter: 4_000_000 };
    proxy.down = cut;
    const mending = setInterval(() => {
      if (cut.cutAfter === 0) proxy.down = "pass";
    }, 20);
    try {
      const { answer, stderr } = await env.import();
      expect(stderr).toBe("");
      expect(answer).toMatchObject({ materials: { uploaded: 1, sizeBytes: material.byteLength }, faults: [] });
      expect(cut.cutAfter).toBe(0);
      expect(proxy.passed.down).toBeLessThan(material.byteLength + 2_000_000);
    } finally {
      clearInterval(mending);
      await proxy.close();
    }
    expect((await cli(["blob", "get", sha256(material)])).stdoutBytes.equals(material)).toBe(true);
  });

  test("a database that goes away ends the import, and it goes on", async () => {
    const env = await chainloop();
    await addRuns(env, "away", 600);
    const ending = setInterval(() => {
      void env.source.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'attestry import' and datname = current_database() and state = 'idle'`,
      );
    }, 500);
    try {
      const { code, stderr } = await env.import();
      expect(stderr).toMatch(/error: cannot read the database at 127\.0\.0\.1:\d+\/\w+: .* \(SOURCE_UNAVAILABLE\)\n$/);
      expect(code).toBe(5);
    } finally {
      clearInterval(ending);
    }
    const { attestations } = (await env.import()).answer;
    expect(attestations.imported + attestations.present).toBe(600);
    expect(await runsOf("away")).toHaveLength(600);
  });

  test("a run of today is looked at again, for it may still get its attestation", async () => {
    const env = await chainloop();
    const bundle = chainloopBundle();
    const young = { createdAt: new Date().toISOString(), project: "today" };
    await env.source.addRun({ ...young, bundle, digest: sha256(bundle) });
    expect((await env.import()).answer).toMatchObject({ attestations: { imported: 1, present: 0 } });
    const again = await env.import();
    expect(again.stderr).toBe("");
    expect(again.answer).toMatchObject({ attestations: { imported: 0, present: 1 } });
  });

  test("a bundle that is refused ends its run as failed, and has another one when it is taken", async () => {
    const env = await chainloop();
    const bundle = await readFile(path.join(fixtures, "dsse-invalid-sig_fail.json"));
    await env.source.addRun({ bundle, digest: sha256(bundle), project: "refused" });
    const refused = await env.import();
    expect(refused.answer).toMatchObject({ attestations: { imported: 0 }, faults: [{ reason: "SIGNATURE_INVALID" }] });
    expect(refused.code).toBe(1);
    expect(await runsOf("refused")).toMatchObject([
      { state: "error", reason: expect.stringMatching(/^import: SIGNATURE_INVALID: /) },
    ]);
    await json("org", "update", "--verification", "off");
    try {
      expect((await env.import()).answer).toMatchObject({ attestations: { imported: 1 }, faults: [] });
      expect((await runsOf("refused")).map(({ state }) => state)).toEqual(["success", "error"]);
    } finally {
      await json("org", "update", "--verification", "signature");
    }
  });

  test("an organization that trusts signers as of now refuses the past, and says what to do", async () => {
    const env = await chainloop();
    const bundle = await readFile(path.join(import.meta.dirname, "fixtures/chainloop/no-materials.json"));
    await env.source.addRun({ bundle, digest: sha256(bundle), project: "trusted" });
    const others = await addRuns(env, "trusted", 1);
    await json("trust", "set", "--ca", path.join(fixtures, "chainloop-cli-63k.ca.pem"));
    await json("org", "update", "--verification", "trusted");
    try {
      const { code, stderr } = await env.import();
      expect(stderr).toContain("(SIGNER_UNTRUSTED)\n(certificates of the past are not valid now: import before");
      expect(code).toBe(1);
    } finally {
      await json("org", "update", "--verification", "signature");
    }
    expect((await env.import()).answer).toMatchObject({ attestations: { imported: 1 + others.length }, faults: [] });
  });

  test("wrong credentials and wrong addresses: one line each, without a secret", async () => {
    const env = await chainloop();
    const bundle = chainloopBundle();
    await env.source.addRun({ bundle, digest: sha256(bundle) });
    const importOf = (database: string, file = env.bucketFile) =>
      cli(["import", "chainloop", "--database", database, "--backend", file, "--dry-run"]);

    await env.source.query("drop role if exists attestry_import_test");
    await env.source.query("create role attestry_import_test login password 'right'");
    const role = (url: URL) => Object.assign(url, { username: "attestry_import_test", password: "right" }).href;
    const nobody = await importOf(role(new URL(env.source.url)));
    expect(nobody.stderr).toMatch(
      /^error: expected chainloop's database, got one without organizations\.id, .*\(SOURCE_INVALID\)\n$/,
    );
    expect(nobody.code).toBe(1);
    const wrong = await importOf(role(new URL(env.source.url)).replace("right", "wrong"));
    expect(wrong.stderr).toContain('password authentication failed for user "attestry_import_test" (SOURCE_REFUSED)');
    expect(wrong.code).toBe(1);
    const without = await importOf(role(new URL(env.source.url)).replace(":right", ""));
    expect(without.stderr).toContain("it asks for a password, and there is none in PGPASSWORD (SOURCE_REFUSED)");
    const given = { CHAINLOOP_DATABASE_URL: role(new URL(env.source.url)).replace(":right", ""), PGPASSWORD: "right" };
    expect((await cli(["import", "chainloop", "--dry-run"], { env: given })).stderr).toContain("(SOURCE_INVALID)");
    await env.source.query("drop role attestry_import_test");
    const gone = await importOf(role(new URL(env.source.url)));
    expect(gone.stderr).toMatch(
      /^error: cannot read the database at 127\.0\.0\.1:\d+\/\w+: .*attestry_import_test.* \(SOURCE_REFUSED\)\n$/,
    );
    expect(gone.stderr).not.toContain("right");

    const elsewhere = new URL(env.source.url);
    elsewhere.pathname = "/nowhere";
    expect((await importOf(elsewhere.href)).stderr).toContain('database "nowhere" does not exist (SOURCE_REFUSED)');
    const unreachable = await importOf("postgres://user:hidden@127.0.0.1:1/chainloop");
    expect(unreachable.stderr).toMatch(
      /^error: cannot read the database at 127\.0\.0\.1:1\/chainloop: .*\(SOURCE_UNAVAILABLE\)\n$/,
    );
    expect(unreachable.code).toBe(5);
    const noUrl = await importOf("host=db password=hidden");
    expect(noUrl.stderr).toContain("error: --database: expected postgres://");
    expect(noUrl.stderr).not.toContain("hidden");
    expect(noUrl.code).toBe(2);

    const bucketOf = async (fields: object) => {
      const file = path.join(path.dirname(env.bucketFile), "other.json");
      await writeFile(file, JSON.stringify({ ...env.bucket, ...fields }));
      return importOf(env.source.url, file);
    };
    const wrongSecret = await bucketOf({ secretKey: "hidden-secret" });
    expect(wrongSecret.stderr).toMatch(
      /^error: cannot read the bucket \S+ at 127\.0\.0\.1:\d+: SignatureDoesNotMatch \(SOURCE_REFUSED\)\n$/,
    );
    expect(wrongSecret.code).toBe(1);
    expect((await bucketOf({ accessKey: "nobody" })).stderr).toContain("InvalidAccessKeyId (SOURCE_REFUSED)");
    expect((await bucketOf({ bucket: "no-such-bucket" })).stderr).toContain("NoSuchBucket (SOURCE_REFUSED)");
    const down = await bucketOf({ endpoint: "http://127.0.0.1:1" });
    expect(down.stderr).toMatch(/^error: cannot read the bucket \S+ at 127\.0\.0\.1:1: .*\(SOURCE_UNAVAILABLE\)\n$/);
    expect(down.code).toBe(5);
    expect((await bucketOf({ secretKey: 7 })).stderr).toContain("secretKey must be a text (SOURCE_INVALID)");
    expect((await bucketOf({ provider: "filesystem" })).stderr).toContain("provider must be s3 (SOURCE_INVALID)");
  });
});
