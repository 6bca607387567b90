export { checkSchema, type MigrateOptions, migrate } from "./migrate.ts";
export { createPool, type PoolOptions, plannedOnce } from "./pool.ts";
