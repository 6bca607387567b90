import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { createTestDatabase, type TestDatabase } from "../../dev-env/src/test-servers.ts";
import { checkSchema, migrate } from "../src/postgres/index.ts";
import { logger } from "./fake-module.ts";

let database: TestDatabase;
let schemaDir: string;
let pool: pg.Pool;

async function addMigration(name: string, sql: string): Promise<void> {
  await mkdir(path.join(schemaDir, "migrations", name), { recursive: true });
  await writeFile(path.join(schemaDir, "migrations", name, "migration.sql"), sql);
}

beforeAll(async () => {
  database = await createTestDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 2 });
  schemaDir = await mkdtemp(path.join(os.tmpdir(), "schema-"));
  await addMigration("1_first", "create table first (id int primary key);");
  await writeFile(path.join(schemaDir, "migrations", "migration_lock.toml"), 'provider = "postgresql"\n');
  await writeFile(
    path.join(schemaDir, "schema.prisma"),
    'datasource db {\n  provider = "postgresql"\n}\nmodel first {\n  id Int @id\n}\n',
  );
});
afterAll(async () => {
  await pool.end();
  await database.drop();
  await rm(schemaDir, { recursive: true });
});

const run = () => migrate({ url: database.url, schemaDir, logger });
async function applied(): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    "select migration_name as name from _prisma_migrations order by started_at",
  );
  return rows.map(({ name }) => name);
}

test("migrating: two at once, again, further; and who may work with which schema", async () => {
  await expect(checkSchema(pool, schemaDir)).rejects.toThrow("lacks the migration 1_first; run this service with");
  await Promise.all([run(), run()]);
  await run();
  expect(await applied()).toEqual(["1_first"]);
  await checkSchema(pool, schemaDir);

  await addMigration("2_second", "create table second (id int primary key);");
  await expect(checkSchema(pool, schemaDir)).rejects.toThrow("lacks the migration 2_second");
  await run();
  await addMigration("3_third", "create table third (id int primary key);");
  await run();
  expect(await applied()).toEqual(["1_first", "2_second", "3_third"]);

  // The build of one release before works with it, the one before that does not, and neither takes it back.
  await rm(path.join(schemaDir, "migrations", "3_third"), { recursive: true });
  await checkSchema(pool, schemaDir);
  await run();
  await rm(path.join(schemaDir, "migrations", "2_second"), { recursive: true });
  await expect(checkSchema(pool, schemaDir)).rejects.toThrow("2 migrations ahead of this build (3_third)");
  expect(await applied()).toHaveLength(3);
});

test("a migration is one script, semicolons in it or not, and applies whole or not at all", async () => {
  await addMigration(
    "4_function",
    "create function four() returns int language plpgsql as $$ begin return 2; return 4; end $$;\n-- One more; it is the last.\ncreate view fourth as select four();",
  );
  // The two that the builds of the test before do not know.
  await addMigration("2_second", "");
  await addMigration("3_third", "");
  await run();
  expect((await pool.query("select * from fourth")).rows).toEqual([{ four: 2 }]);

  await addMigration("5_broken", "create table fifth (id int);\ncreate table first (id int);");
  await expect(run()).rejects.toThrow("already exists");
  expect((await pool.query("select to_regclass('fifth') as table")).rows).toEqual([{ table: null }]);
});

test("a database that cannot be reached is named in one line, without the password", async () => {
  const silent = net.createServer((socket) => socket.on("error", () => undefined));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as net.AddressInfo;
  silent.close();
  for (const host of ["127.0.0.1", "localhost"]) {
    const url = `postgres://someone:hunter2@${host}:${port}/runs`;
    const error = await migrate({ url, schemaDir, logger }).catch((cause: unknown) => cause);
    const { message } = error as Error;
    expect(message).toMatch(
      new RegExp(`^cannot reach the database runs at ${host}:${port} as someone: .*ECONNREFUSED`),
    );
    expect(message).not.toMatch(/hunter2|\n/);
  }
});
