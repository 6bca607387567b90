import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { Logger } from "../observe/logger.ts";
import { createSchemaEngine, type MigrationList } from "./schema-engine.ts";

/** Any number that all replicas of a service agree on; each service has a database of its own. */
const migrationLock = 7_700_001;
const migrationFile = "migration.sql";
const connectTimeoutMs = 5_000;
const applicationName = "attestry-migrate";
/** For the longest migration of a process that was killed over it. */
const orphanTimeoutMs = 10 * 60_000;

export interface MigrateOptions {
  /** postgres://USER:PASSWORD@HOST:PORT/DATABASE. */
  url: string;
  /** Folder with schema.prisma and migrations/. */
  schemaDir: string;
  logger: Logger;
}

/** Brings the database to the newest schema of this build. Many may call it at once: one works, the others wait for it. */
export async function migrate({ url, schemaDir, logger }: MigrateOptions): Promise<void> {
  const lock = await connect(url, logger);
  const pool = new pg.Pool({
    connectionString: url,
    application_name: applicationName,
    max: 2,
    connectionTimeoutMillis: connectTimeoutMs,
  });
  pool.on("error", (error) => logger.warn({ err: error }, "a database connection of the migration was lost"));
  try {
    await lock.query("select pg_advisory_lock($1)", [migrationLock]);
    await forgetBroken(lock);
    const applied = await appliedMigrations(lock);
    const known = await migrationNames(schemaDir);
    const release = await releaseOf(schemaDir);
    if (known.every((name) => applied.includes(name))) {
      await noteRelease(lock, release);
      return;
    }
    const engine = await createSchemaEngine(pool, [
      ["schema.prisma", await readFile(path.join(schemaDir, "schema.prisma"), "utf8")],
    ]);
    const { appliedMigrationNames } = await engine.applyMigrations({
      migrationsList: await migrationList(schemaDir, known),
      filters: { externalTables: [], externalEnums: [] },
    });
    await noteRelease(lock, release);
    logger.info({ applied: appliedMigrationNames, release }, "database migrated");
  } finally {
    await pool.end();
    await lock.end();
  }
}

/**
 * Rejects unless the database has every migration of this build, and none of more than one release later: peers one
 * release apart work together.
 */
export async function checkSchema(pool: pg.Pool, schemaDir: string): Promise<void> {
  const applied = await appliedMigrations(pool);
  const known = await migrationNames(schemaDir);
  const missing = known.filter((name) => !applied.includes(name));
  if (missing.length > 0)
    throw new Error(
      `the database lacks the migration ${missing[0]}; run this service with the argument "migrate" first`,
    );
  if (applied.every((name) => known.includes(name))) return;
  const [there, here] = [await notedRelease(pool), await releaseOf(schemaDir)];
  if (there > here + 1)
    throw new Error(
      `the database is of release ${there} of the schema, this build of ${here}, and works with ${here + 1} at most; use a newer build`,
    );
}

/** Of the schema: raised by one, in the file `release`, with each release that adds migrations. */
async function releaseOf(schemaDir: string): Promise<number> {
  return Number(await readFile(path.join(schemaDir, "release"), "utf8"));
}

/** The newest that migrated it; 1 for a database of the time when none was noted. */
async function notedRelease(client: pg.Client | pg.Pool): Promise<number> {
  if (!(await hasTable(client, "schema_release"))) return 1;
  const { rows } = await client.query<{ release: number | null }>("select max(release) as release from schema_release");
  return rows[0]?.release ?? 1;
}

async function noteRelease(lock: pg.Client, release: number): Promise<void> {
  if ((await hasTable(lock, "schema_release")) && (await notedRelease(lock)) >= release) return;
  await lock.query("create table if not exists schema_release (release int primary key)");
  await lock.query("insert into schema_release values ($1) on conflict do nothing", [release]);
}

async function connect(url: string, logger: Logger): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
  });
  // Without it, a connection that the server ends between two statements would end the process.
  client.on("error", (error) => logger.warn({ err: error }, "the database connection that holds the lock was lost"));
  try {
    await client.connect();
  } catch (cause) {
    const { host, port, database, user } = client;
    const why = cause instanceof AggregateError ? cause.errors.map(String).join("; ") : (cause as Error).message;
    throw new Error(`cannot reach the database ${database} at ${host}:${port} as ${user}: ${why}`, { cause });
  }
  return client;
}

async function appliedMigrations(client: pg.Client | pg.Pool): Promise<string[]> {
  if (!(await hasTable(client))) return [];
  const { rows } = await client.query<{ migration_name: string }>(
    "select migration_name from _prisma_migrations where finished_at is not null and rolled_back_at is null order by migration_name",
  );
  return rows.map((row) => row.migration_name);
}

/**
 * What a process began that died over it: under the lock nobody is at it but, for a while, the database itself, which
 * may not know yet that nobody waits for the answer. A migration is one transaction that notes its own end, so one
 * without it left nothing behind and is to be applied anew.
 */
async function forgetBroken(lock: pg.Client): Promise<void> {
  const end = performance.now() + orphanTimeoutMs;
  while (await isUnderWay(lock)) {
    if (performance.now() > end)
      throw new Error("a migration of a process that is gone is still under way; try again later");
    await sleep(200);
  }
  if (!(await hasTable(lock))) return;
  await lock.query(
    "update _prisma_migrations set rolled_back_at = now() where finished_at is null and rolled_back_at is null",
  );
}

async function isUnderWay(lock: pg.Client): Promise<boolean> {
  const { rowCount } = await lock.query(
    `select from pg_stat_activity
     where datname = current_database() and application_name = $1 and pid <> pg_backend_pid()
       and state <> 'idle' and wait_event is distinct from 'advisory'`,
    [applicationName],
  );
  return rowCount !== 0;
}

async function hasTable(client: pg.Client | pg.Pool, name = "_prisma_migrations"): Promise<boolean> {
  const exists = await client.query<{ table: string | null }>("select to_regclass($1) as table", [name]);
  return exists.rows[0]?.table !== null;
}

async function migrationNames(schemaDir: string): Promise<string[]> {
  const entries = await readdir(path.join(schemaDir, "migrations"), { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

async function migrationList(schemaDir: string, names: readonly string[]): Promise<MigrationList> {
  const baseDir = path.join(schemaDir, "migrations");
  const read = (file: string) => readFile(path.join(baseDir, file), "utf8");
  return {
    baseDir,
    lockfile: { path: "migration_lock.toml", content: await read("migration_lock.toml") },
    shadowDbInitScript: "",
    migrationDirectories: await Promise.all(
      names.map(async (name) => ({
        path: name,
        migrationFile: {
          path: migrationFile,
          content: { tag: "ok" as const, value: await read(path.join(name, migrationFile)) },
        },
      })),
    ),
  };
}
