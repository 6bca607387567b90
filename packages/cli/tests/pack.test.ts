import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { run } from "./run-cli.ts";

jest.setTimeout(120_000);

let folder = "";
let command = "";

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-cli-pack-"));
  const cwd = path.resolve(import.meta.dirname, "..");
  const packed = await run("pnpm", ["pack", "--pack-destination", folder], { cwd });
  if (packed.code !== 0) throw new Error(packed.stdout + packed.stderr);
  await writeFile(path.join(folder, "package.json"), '{"private":true}');
  // Offline: what is published has no dependencies.
  const install = ["install", "--offline", "--no-audit", "--no-fund", "./attestry-cli-0.1.0.tgz"];
  const installed = await run("npm", install, { cwd: folder });
  if (installed.code !== 0) throw new Error(installed.stderr);
  command = path.join(folder, "node_modules/.bin/attestry");
});

afterAll(() => rm(folder, { recursive: true }));

test("the package installs alone and runs", async () => {
  const help = await run(command, ["--help"]);
  expect(help.stderr).toBe("");
  expect(help.stdout).toContain("attestry store bundle.json --workflow web/release");
  expect(help.code).toBe(0);
  expect((await run(command, ["--version"])).stdout).toBe("0.1.0\n");
});

test("it makes calls", async () => {
  const { code, stderr } = await run(command, ["run", "list", "--addr", "http://127.0.0.1:1"]);
  expect(stderr).toContain("cannot reach http://127.0.0.1:1");
  expect(code).toBe(5);
});

test("it has what an import reads with", async () => {
  const bucket = path.join(folder, "bucket.json");
  const access = {
    provider: "s3",
    endpoint: "http://127.0.0.1:1",
    bucket: "chainloop",
    accessKey: "a",
    secretKey: "s",
  };
  await writeFile(bucket, JSON.stringify(access));
  const args = ["import", "chainloop", "--database", "postgres://127.0.0.1:1/chainloop", "--backend", bucket];
  const { code, stderr } = await run(command, args);
  expect(stderr).toMatch(/^error: cannot read the database at 127\.0\.0\.1:1\/chainloop: .*\(SOURCE_UNAVAILABLE\)\n$/);
  expect(code).toBe(5);
});

test("bootstrap makes keys once, and the secret of a backend", async () => {
  const keys = path.join(folder, "keys");
  const secrets = path.join(folder, "secrets");
  const args = ["bootstrap", "--keys-dir", keys, "--secrets-dir", secrets, "-o", "json"];
  const s3 = ["--s3-endpoint", "http://minio:9000", "--s3-bucket", "attestry"];
  expect((await run(command, [...args, ...s3])).stderr).toContain("ATTESTRY_S3_SECRET_KEY");
  const env = { ATTESTRY_S3_ACCESS_KEY: "access", ATTESTRY_S3_SECRET_KEY: "secret" };
  const first = await run(command, [...args, ...s3], { env });
  expect(JSON.parse(first.stdout)).toEqual({ keysDir: keys, secretRef: "_shared/default", secretChanged: true });
  const key = await readFile(path.join(keys, "cas-gateway/signing-key.jwk.json"), "utf8");
  expect(JSON.parse(await readFile(path.join(secrets, "_shared/default.json"), "utf8"))).toMatchObject({
    provider: "s3",
    endpoint: "http://minio:9000",
    secretKey: "secret",
  });
  const second = await run(command, [...args, ...s3], { env });
  expect(JSON.parse(second.stdout)).toMatchObject({ secretChanged: false });
  expect(await readFile(path.join(keys, "cas-gateway/signing-key.jwk.json"), "utf8")).toBe(key);
});

test("it backs up and restores a data directory", async () => {
  const dataDir = path.join(folder, "data");
  const backup = path.join(folder, "backup");
  await mkdir(dataDir);
  await writeFile(path.join(dataDir, "version"), "1\n");
  expect((await run(command, ["backup", backup, "--data-dir", dataDir])).code).toBe(0);
  await rm(dataDir, { recursive: true });
  expect((await run(command, ["restore", backup, "--data-dir", dataDir])).code).toBe(0);
  expect(await readFile(path.join(dataDir, "version"), "utf8")).toBe("1\n");
});
