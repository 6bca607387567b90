export { checkSchema, type MigrateOptions, migrate } from "./migrate.ts";
export { createPool, type PoolOptions } from "./pool.ts";
