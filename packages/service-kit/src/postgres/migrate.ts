import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import pg from "pg";
import type { Logger } from "../observe/logger.ts";
import { createSchemaEngine, type MigrationList } from "./schema-engine.ts";

/** Any number that all replicas of a service agree on; each service has a database of its own. */
const migrationLock = 7_700_001;
const migrationFile = "migration.sql";
const connectTimeoutMs = 5_000;

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
    application_name: "attestry-migrate",
    max: 2,
    connectionTimeoutMillis: connectTimeoutMs,
  });
  pool.on("error", (error) => logger.warn({ err: error }, "a database connection of the migration was lost"));
  try {
    await lock.query("select pg_advisory_lock($1)", [migrationLock]);
    const applied = await appliedMigrations(lock);
    const known = await migrationNames(schemaDir);
    if (known.every((name) => applied.includes(name))) return;
    const engine = await createSchemaEngine(pool, [
      ["schema.prisma", await readFile(path.join(schemaDir, "schema.prisma"), "utf8")],
    ]);
    const { appliedMigrationNames } = await engine.applyMigrations({
      migrationsList: await migrationList(schemaDir, known),
      filters: { externalTables: [], externalEnums: [] },
    });
    logger.info({ applied: appliedMigrationNames }, "database migrated");
  } finally {
    await pool.end();
    await lock.end();
  }
}

/**
 * Rejects unless the database has every migration of this build, and at most one that it does not know: peers one
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
  const newer = applied.filter((name) => !known.includes(name));
  if (newer.length > 1)
    throw new Error(
      `the database is ${newer.length} migrations ahead of this build (${newer.at(-1)}); use a newer build`,
    );
}

async function connect(url: string, logger: Logger): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: "attestry-migrate",
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
  const exists = await client.query<{ table: string | null }>(`select to_regclass('_prisma_migrations') as table`);
  if (exists.rows[0]?.table === null) return [];
  const { rows } = await client.query<{ migration_name: string }>(
    "select migration_name from _prisma_migrations where finished_at is not null and rolled_back_at is null order by migration_name",
  );
  return rows.map((row) => row.migration_name);
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
