import path from "node:path";
import type { Logger, ServiceModule } from "@attestry/service-kit";
import { checkSchema, migrate } from "@attestry/service-kit/postgres";
import { access } from "./access.ts";
import type { Config } from "./config.ts";
import { type AppContext, createContext, type Dependencies } from "./context.ts";
import { registerRoutes, services } from "./routes.ts";

export { type BootstrapOptions, type Bootstrapped, bootstrap, type FirstBackend } from "./bootstrap.ts";
export { bootstrapSettings, type Config, settings } from "./config.ts";
export type { AppContext, Dependencies } from "./context.ts";

const schemaDir = path.join(import.meta.dirname, "../prisma");

export interface WorkflowRunModule extends ServiceModule {
  /** For bootstrap. */
  readonly context: AppContext;
}

/** Brings the database to the newest schema. */
export async function migrateDatabase(config: Pick<Config, "databaseUrl">, logger: Logger): Promise<void> {
  await migrate({ url: config.databaseUrl, schemaDir, logger });
}

/** The service, ready to be served. Rejects if the database is out of reach or has an older schema. */
export async function createWorkflowRun(config: Config, dependencies: Dependencies): Promise<WorkflowRunModule> {
  const context = createContext(config, dependencies);
  const { database, background } = context;
  let destroyed: Promise<void> | undefined;
  async function destroy(): Promise<void> {
    await Promise.all(background.map((work) => work.destroy()));
    await database.close();
  }
  try {
    await checkSchema(database.pool, schemaDir);
  } catch (error) {
    await destroy();
    throw error;
  }
  return {
    name: "workflow-run",
    services,
    routes: (router) => registerRoutes(router, context),
    access,
    authenticator: context.authenticator,
    context,
    async ready() {
      await database.pool.query("select 1");
    },
    async start() {
      for (const work of background) work.start?.();
    },
    destroy() {
      destroyed ??= destroy();
      return destroyed;
    },
  };
}
