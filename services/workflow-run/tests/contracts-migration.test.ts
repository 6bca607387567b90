import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createTestDatabase } from "@attestry/dev-env";
import { createLogger } from "@attestry/service-kit";
import { migrate } from "@attestry/service-kit/postgres";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";

const schemaDir = path.resolve(import.meta.dirname, "../prisma");
const logger = createLogger({ name: "workflow-run", level: "silent" });

let before: string;
let database: Awaited<ReturnType<typeof createTestDatabase>>;
let client: pg.Client;
beforeAll(async () => {
  before = await mkdtemp(path.join(tmpdir(), "attestry-schema-"));
  await cp(schemaDir, before, { recursive: true });
  await rm(path.join(before, "migrations/20261201000000_contracts"), { recursive: true });
  database = await createTestDatabase();
  client = new pg.Client(database.url);
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.drop();
  await rm(before, { recursive: true });
});

test("workflows that are there get a contract each, of their own, and their runs stay as they are", async () => {
  await migrate({ url: database.url, schemaDir: before, logger });
  await client.query(`insert into organization (id, name) select uuidv7(), 'o' || n from generate_series(1, 2) n`);
  await client.query(`insert into backend (organization_id, id, name, provider, secret_ref, prefix, is_default, max_bytes, status)
    select id, uuidv7(), 'inline', 'inline', '', '', true, 1, 'valid' from organization`);
  await client.query(`insert into workflow (organization_id, id, project, name)
    select o.id, uuidv7(), w.project, w.name from organization o,
      (values ('a-b', 'c'), ('a', 'b-c'), ('p', 'w')) w (project, name)`);
  await client.query(`insert into run (organization_id, id, workflow_id, backend_id, created_at)
    select w.organization_id, uuidv7(), w.id, b.id, now() from workflow w join backend b using (organization_id)`);

  await migrate({ url: database.url, schemaDir, logger });

  const { rows } = await client.query<{ organization: string; workflow: string; contract: string; text: Buffer }>(
    `select o.name as organization, w.project || '/' || w.name as workflow, c.name as contract, v.text
     from workflow w join organization o on o.id = w.organization_id
     join contract c on c.organization_id = w.organization_id and c.id = w.contract_id and c.project = w.project
     join contract_revision v on v.organization_id = c.organization_id and v.contract_id = c.id and v.revision = c.latest_revision
     order by 1, 2`,
  );
  expect(rows).toHaveLength(6);
  for (const organization of ["o1", "o2"]) {
    const own = rows.filter((row) => row.organization === organization);
    expect(own.map(({ contract }) => contract.replace(/-[0-9a-f]{8}$/, "-SUFFIX")).sort()).toEqual([
      "a-b-c",
      "a-b-c-SUFFIX",
      "p-w",
    ]);
    for (const { contract, text } of own) expect(text.toString()).toContain(`\n    name: ${contract}\n`);
  }
  const runs = await client.query(
    "select distinct contract_revision, runner, project_version_id, block_on_policy_violation from run",
  );
  expect(runs.rows).toEqual([
    { contract_revision: 0, runner: "", project_version_id: null, block_on_policy_violation: false },
  ]);
});
