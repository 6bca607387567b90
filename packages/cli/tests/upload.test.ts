import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import pg from "pg";
import { cliOf } from "./cli-of.ts";

jest.setTimeout(120_000);

const worker = "attestation-ingest-worker";
const sample = path.resolve(import.meta.dirname, "../../../docs/sample/bundle.json");
const lastError = "BACKEND_UNAVAILABLE: the bucket is gone";

interface Upload {
  digest: string;
  runId: string;
  state: string;
  attempts: number;
  lastError: string;
}

let folder = "";
let constellation: Constellation;
let database: pg.Pool;
let cli: ReturnType<typeof cliOf>["cli"];
let json: ReturnType<typeof cliOf>["json"];

// The worker is away until the last test, so that rows stay as they are put.
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-upload-"));
  constellation = await startConstellation({ shape: "processes", backend: "filesystem", separateWorker: true });
  await constellation.end(worker);
  database = new pg.Pool({ connectionString: constellation.servers.ingestDatabase });
  ({ cli, json } = cliOf(constellation));
});

afterAll(async () => {
  await database?.end();
  await constellation?.stop();
  await rm(folder, { recursive: true });
});

/** Stored, and tried in vain for days. */
async function givenUp(): Promise<{ digest: string; runId: string }> {
  const file = path.join(folder, `${randomUUID()}.json`);
  await writeFile(file, `${await readFile(sample, "utf8")}${" ".repeat(++spaces)}`);
  const { digest, runId } = await json<Upload>("store", file, "--workflow", "cli/upload");
  await database.query(
    `update upload set state = 'given_up', attempts = 40, last_error = $2, trying_since = now() - interval '8 days'
     where digest = decode($1, 'hex')`,
    [digest.slice("sha256:".length), lastError],
  );
  return { digest, runId };
}
let spaces = 0;

async function uploads(...state: string[]): Promise<Upload[]> {
  return (await json<{ uploads: Upload[] }>("upload", "list", ...state)).uploads;
}

test("what was given up is listed with its last error, and due again by its digest or with all", async () => {
  const one = await givenUp();
  const others = [await givenUp(), await givenUp()];
  const shown = (await uploads("--state", "given-up")).toReversed();
  expect(shown).toEqual(
    [one, ...others].map((upload) =>
      expect.objectContaining({ ...upload, state: "given-up", attempts: 40, lastError }),
    ),
  );
  expect(await uploads("--state", "failing")).toEqual([]);
  const { stdout } = await cli(["upload", "list", "--state", "given-up"]);
  expect(stdout).toMatch(new RegExp(`^${one.digest} +given-up +40 .* ${one.runId} +${lastError}$`, "m"));

  expect(await json("upload", "retry", one.digest)).toEqual({ retried: 1 });
  expect((await uploads("--state", "failing")).map(({ digest }) => digest)).toEqual([one.digest]);
  expect((await uploads("--state", "given-up")).map(({ digest }) => digest)).not.toContain(one.digest);
  expect(await json("upload", "retry", "--all")).toEqual({ retried: 3 });
  expect(await uploads("--state", "given-up")).toEqual([]);
});

test("retrying needs an admin; a digest or --all, of what is there", async () => {
  const { digest } = await givenUp();
  const { secret } = await json<{ secret: string }>("token", "create", "--name", "some-ci", "--role", "ci");
  const refused = await cli(["upload", "retry", "--all"], { env: { ATTESTRY_TOKEN: secret } });
  expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining("(ROLE_INSUFFICIENT)") });
  const both = await cli(["upload", "retry", digest, "--all"]);
  expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining("either a digest or --all") });
  const unknown = await cli(["upload", "retry", `sha256:${"00".repeat(32)}`]);
  expect(unknown).toMatchObject({ code: 3, stderr: expect.stringContaining("(ATTESTATION_NOT_FOUND)") });
  expect((await uploads("--state", "given-up")).map((upload) => upload.digest)).toEqual([digest]);
});

test("retried, it is uploaded", async () => {
  const retried = await cli(["upload", "retry", "--all"]);
  expect(retried.stdout).toMatch(/^retried +\d+, due now; a backend that fails is tried within 15 s\n$/);
  const waiting = await uploads();
  expect(waiting.length).toBeGreaterThan(0);
  await constellation.restart(worker);
  for (let left = 100; (await uploads()).length > 0 && left > 0; left--) await sleep(100);
  expect((await cli(["upload", "list"])).stdout).toBe("no unconfirmed uploads\n");
  const { stdout } = await cli(["upload", "list", "--state", "confirmed"]);
  expect(stdout).toMatch(/ confirmed +41 +- /);
  const confirmed = await uploads("--state", "confirmed");
  expect(confirmed.map(({ digest }) => digest)).toEqual(expect.arrayContaining(waiting.map(({ digest }) => digest)));
  expect(confirmed.every(({ attempts, lastError }) => attempts === 41 && lastError === "")).toBe(true);
});
