import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { firstIdAt } from "@attestry/service-kit";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import pg from "pg";
import { bundleFile } from "./bundle-file.ts";
import { cliOf } from "./cli-of.ts";

jest.setTimeout(120_000);

const dayMs = 24 * 3_600_000;

let folder = "";
let constellation: Constellation;
let database: pg.Pool;
let cli: ReturnType<typeof cliOf>["cli"];
let json: ReturnType<typeof cliOf>["json"];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-retention-"));
  constellation = await startConstellation({
    shape: "processes",
    backend: "filesystem",
    skipDbStorage: "true",
    separateWorker: true,
    env: { ATTESTATION_INGEST_RETENTION_EVERY: "200ms", ATTESTATION_INGEST_RETENTION_GRACE: "0" },
  });
  database = new pg.Pool({ connectionString: constellation.servers.ingestDatabase, max: 2 });
  ({ cli, json } = cliOf(constellation));
});

afterAll(async () => {
  await database?.end();
  await constellation?.stop();
  await rm(folder, { recursive: true });
});

/** Stores a bundle that no other has. Its digest. */
async function stored(): Promise<string> {
  const { file, digest } = await bundleFile(folder);
  const { code, stderr } = await cli(["store", file, "--workflow", "web/release"]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return digest;
}

const hex = (digest: string) => digest.slice("sha256:".length);

/** Lets so many days pass for the attestation; its id begins with the time. */
async function age(digest: string, days: number): Promise<void> {
  const prefix = firstIdAt(Date.now() - days * dayMs).slice(0, 13);
  const { rowCount } = await database.query(
    `update attestation set id = ($2 || substr(id::text, 14))::uuid, stored_at = stored_at - $3 * interval '1 day',
            retain_until = retain_until - $3 * interval '1 day' where digest = decode($1, 'hex')`,
    [hex(digest), prefix, days],
  );
  expect(rowCount).toBe(1);
}

async function until(check: () => Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`not within 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function isInStore(digest: string): Promise<boolean> {
  const names = await readdir(constellation.casDir, { recursive: true });
  return names.some((name) => name.includes(hex(digest)));
}

interface Event {
  service: string;
  action: string;
  actor: string;
  resource: string;
  detail: Record<string, string>;
}

test("an attestation past at_most is hidden, deleted with its blob, and the audit log tells of it", async () => {
  await json("org", "update", "--keep-attestations-at-least", "20d", "--keep-attestations-at-most", "30d");
  const gone = await stored();
  const promised = await stored();
  await age(gone, 31);
  await until(async () => (await cli(["get", gone])).code !== 0, "it is hidden");
  expect((await cli(["get", gone])).stderr).toContain("no attestation of the digest");
  const rows = () => database.query("select from attestation where digest = decode($1, 'hex')", [hex(gone)]);
  await until(async () => (await rows()).rowCount === 0, "its row is deleted");
  // Its promise is older than the lower one.
  await json("org", "update", "--keep-attestations-at-least", "none", "--keep-attestations-at-most", "10d");
  await age(promised, 11);

  expect(await isInStore(gone)).toBe(true);
  await database.query("update intent set touched = touched - interval '25 hours'");
  await until(async () => !(await isInStore(gone)), "its blob is deleted");
  const events = async () => (await json<{ events: Event[] }>("audit")).events;
  await until(async () => (await events()).some(({ action }) => action === "blob.delete"), "the event of the blob");
  const about = (await events()).filter(
    ({ detail, resource }) => detail.digest === gone || resource === `blob ${gone}`,
  );
  expect(about.map(({ action }) => action)).toEqual(["blob.delete", "attestation.delete", "attestation.expire"]);
  expect(about[1]).toMatchObject({
    service: "attestation-ingest",
    actor: "service attestation-ingest",
    detail: { at_least: `${20 * 86_400}s`, at_most: `${30 * 86_400}s` },
  });
  expect(await isInStore(promised)).toBe(true);
  expect((await cli(["get", promised])).code).toBe(0);
});
