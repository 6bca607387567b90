import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { createTestDatabase, type TestDatabase } from "../../dev-env/src/test-servers.ts";
import { checkSchema, migrate } from "../src/postgres/index.ts";
import { logger } from "./fake-module.ts";

const migrateModule = new URL("../src/postgres/migrate.ts", import.meta.url).href;

let database: TestDatabase;
let schemaDir: string;
let pool: pg.Pool;

async function addMigration(name: string, sql: string): Promise<void> {
  await mkdir(path.join(schemaDir, "migrations", name), { recursive: true });
  await writeFile(path.join(schemaDir, "migrations", name, "migration.sql"), sql);
}

const setRelease = (release: number) => writeFile(path.join(schemaDir, "release"), `${release}\n`);

beforeAll(async () => {
  database = await createTestDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 2 });
  schemaDir = await mkdtemp(path.join(os.tmpdir(), "schema-"));
  await addMigration("1_first", "create table first (id int primary key);");
  await setRelease(1);
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
  await setRelease(2);
  await run();
  await addMigration("3_third", "create table third (id int primary key);");
  await addMigration("3_third_too", "create table third_too (id int primary key);");
  await setRelease(3);
  await run();
  expect(await applied()).toEqual(["1_first", "2_second", "3_third", "3_third_too"]);

  // The build of one release before works with it, the one before that does not, and neither takes it back.
  for (const name of ["3_third", "3_third_too"])
    await rm(path.join(schemaDir, "migrations", name), { recursive: true });
  await setRelease(2);
  await checkSchema(pool, schemaDir);
  await run();
  await rm(path.join(schemaDir, "migrations", "2_second"), { recursive: true });
  await setRelease(1);
  await expect(checkSchema(pool, schemaDir)).rejects.toThrow("release 3 of the schema, this build of 1");
  expect(await applied()).toHaveLength(4);
});

test("a migration is one script, semicolons in it or not, and applies whole or not at all", async () => {
  await addMigration(
    "4_function",
    "create function four() returns int language plpgsql as $$ begin return 2; return 4; end $$;\n-- One more; it is the last.\ncreate view fourth as select four();",
  );
  // The two that the builds of the test before do not know.
  await addMigration("2_second", "");
  await addMigration("3_third", "");
  await addMigration("3_third_too", "");
  await run();
  expect((await pool.query("select * from fourth")).rows).toEqual([{ four: 2 }]);

  await addMigration("5_broken", "create table fifth (id int);\ncreate table first (id int);");
  await expect(run()).rejects.toThrow("already exists");
  expect((await pool.query("select to_regclass('fifth') as table")).rows).toEqual([{ table: null }]);
  // Once it is mended it applies: the failure is no more than a line in the table.
  await addMigration("5_broken", "create table fifth (id int);");
  await run();
  expect((await pool.query("select to_regclass('fifth') as table")).rows).toEqual([{ table: "fifth" }]);
});

describe("a process that was killed over a migration", () => {
  async function killedOver(name: string, sql: string): Promise<void> {
    await addMigration(name, sql);
    const script = `import { migrate } from ${JSON.stringify(migrateModule)};
      await migrate({ url: ${JSON.stringify(database.url)}, schemaDir: ${JSON.stringify(schemaDir)}, logger: { info() {}, warn() {} } });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "ignore" });
    const exited = once(child, "exit");
    await untilSleeping(1);
    child.kill("SIGKILL");
    await exited;
  }

  async function untilSleeping(count: number): Promise<void> {
    for (;;) {
      const { rowCount } = await pool.query(
        "select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
      );
      if (rowCount === count) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  test("leaves it to the database to finish: the next one waits for that", async () => {
    await killedOver("6_slow", "create table sixth (id int); select pg_sleep(3);");
    await run();
    expect((await pool.query("select to_regclass('sixth') as table")).rows).toEqual([{ table: "sixth" }]);
    expect((await applied()).filter((name) => name === "6_slow")).toHaveLength(1);
    await checkSchema(pool, schemaDir);
  });

  test("whose database gave up too: the next one does it again", async () => {
    await killedOver("7_slow", "create table seventh (id int); select pg_sleep(2);");
    await pool.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
    );
    await untilSleeping(0);
    expect((await pool.query("select to_regclass('seventh') as table")).rows).toEqual([{ table: null }]);
    await run();
    expect((await pool.query("select to_regclass('seventh') as table")).rows).toEqual([{ table: "seventh" }]);
    await checkSchema(pool, schemaDir);
  });
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
