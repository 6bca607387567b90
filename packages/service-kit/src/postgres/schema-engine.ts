import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { PrismaPg } from "@prisma/adapter-pg";
import { bindMigrationAwareSqlAdapterFactory } from "@prisma/driver-adapter-utils";
import type { SchemaEngine as Engine, MigrationList } from "@prisma/schema-engine-wasm";
import type pg from "pg";

interface EngineModule {
  __wbg_set_wasm(exports: WebAssembly.Exports): void;
  SchemaEngine: typeof Engine;
}

/**
 * The engine of `prisma migrate` as WebAssembly: it keeps `_prisma_migrations` exactly as `prisma migrate deploy`
 * does, and needs no download. It works through the pool, which the caller ends.
 */
export async function createSchemaEngine(pool: pg.Pool, datamodels: [string, string][]): Promise<Engine> {
  instantiated ??= instantiate();
  const engine = await instantiated;
  const factory = bindMigrationAwareSqlAdapterFactory(new WholeScripts(pool));
  return engine.SchemaEngine.new({ datamodels }, () => undefined, factory);
}

// In the transaction of the script: so a migration is noted as done exactly if it is, also when whoever asked for it is
// gone by then. Before the first migration there is no table to note it in.
const noteDone = `
do $$ begin
  if to_regclass('_prisma_migrations') is not null then
    update _prisma_migrations set finished_at = now(), applied_steps_count = 1
    where finished_at is null and rolled_back_at is null;
  end if;
end $$;`;

/** Hands a migration to PostgreSQL as it is, so that all of it applies or nothing; Prisma's own would cut it at every semicolon. */
class WholeScripts extends PrismaPg {
  override async connect() {
    const adapter = await super.connect();
    adapter.executeScript = async (script) => {
      await adapter.executeRaw({ sql: `${script};${noteDone}`, args: [], argTypes: [] });
    };
    return adapter;
  }
}

// Once for the process: the module has one place for its instance, and work of an engine that is still under way
// would go on in the memory of the next one.
let instantiated: Promise<EngineModule> | undefined;

async function instantiate(): Promise<EngineModule> {
  const engine = (await import("@prisma/schema-engine-wasm/schema_engine_bg")) as unknown as EngineModule;
  const wasm = await readFile(
    fileURLToPath(new URL("schema_engine_bg.wasm", import.meta.resolve("@prisma/schema-engine-wasm"))),
  );
  const imports = { "./schema_engine_bg.js": withoutLingeringTimers(engine) };
  const { instance } = await WebAssembly.instantiate(wasm, imports);
  engine.__wbg_set_wasm(instance.exports);
  (instance.exports.__wbindgen_start as () => void)();
  return engine;
}

/** The engine bounds its wait for a lock by a timer of 10 s that it never clears; it must not hold up the process's end. */
function withoutLingeringTimers(engine: EngineModule): WebAssembly.ModuleImports {
  const imports = Object.entries(engine).map(([name, value]) => {
    if (!name.startsWith("__wbg_setTimeout_")) return [name, value];
    const setTimer = value as (...args: unknown[]) => NodeJS.Timeout;
    return [name, (...args: unknown[]) => setTimer(...args).unref()];
  });
  return Object.fromEntries(imports) as WebAssembly.ModuleImports;
}

export type { MigrationList };
