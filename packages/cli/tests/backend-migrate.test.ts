import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { bundleFile } from "./bundle-file.ts";
import { cliOf } from "./cli-of.ts";

jest.setTimeout(120_000);

let folder = "";
let constellation: Constellation;
let cli: ReturnType<typeof cliOf>["cli"];
let json: ReturnType<typeof cliOf>["json"];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-migrate-"));
  constellation = await startConstellation({
    shape: "processes",
    backend: "filesystem",
    skipDbStorage: "true",
    separateWorker: true,
  });
  ({ cli, json } = cliOf(constellation));
});

afterAll(async () => {
  await constellation?.stop();
  await rm(folder, { recursive: true });
});

test("a migration survives its worker, and then nothing needs the first backend any more", async () => {
  const bundles = await Promise.all(Array.from({ length: 6 }, () => bundleFile(folder)));
  for (const { file } of bundles) expect((await cli(["store", file, "--workflow", "web/release"])).code).toBe(0);
  await json("backend", "add", "archive", "--provider", "filesystem", "--secret-ref", "_shared/local", "--prefix", "a");

  await constellation.kill("attestation-ingest-worker");
  expect(await json("backend", "migrate", "local", "archive", "--no-wait")).toMatchObject({
    attestations: 6,
    queued: 6,
    copied: 0,
  });
  const waiting = await cli(["backend", "migrate", "local", "archive", "--timeout", "2s"]);
  expect(waiting.stderr).toContain("the copying goes on in the service");
  expect(waiting.code).not.toBe(0);

  await constellation.restart("attestation-ingest-worker");
  const done = await cli(["backend", "migrate", "local", "archive"]);
  expect(done.stdout).toMatch(/newly queued +0/);
  expect(done.stdout).toMatch(/copied +6/);
  expect(done.stderr).toContain("new runs still go to local: attestry backend default archive changes that");

  expect((await cli(["backend", "default", "archive"])).code).toBe(0);
  await rm(path.join(constellation.casDir, "default", "bundles"), { recursive: true });
  await constellation.restart("attestation-ingest");
  for (const { file, digest } of bundles) {
    const got = await cli(["get", digest]);
    expect(got.stderr).toBe("");
    expect(got.stdoutBytes.equals(await readFile(file))).toBe(true);
  }
  expect((await cli(["backend", "migrate", "local", "nowhere"])).stderr).toContain("there is no backend nowhere");
});
