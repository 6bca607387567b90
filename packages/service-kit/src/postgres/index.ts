export { checkSchema, type MigrateOptions, migrate } from "./migrate.ts";
export { createPool, type PoolOptions, plannedOnce } from "./pool.ts";
export { DatabaseReadiness, type DatabaseReadinessOptions } from "./readiness.ts";
