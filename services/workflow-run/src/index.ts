import type { Logger, ServiceModule } from "@attestry/service-kit";
import { migrate } from "@attestry/service-kit/postgres";
import { access } from "./access.ts";
import type { Config } from "./config.ts";
import { type AppContext, createContext, type Dependencies } from "./context.ts";
import { schemaDir } from "./db/database.ts";
import { createJwksRoute } from "./http/jwks-route.ts";
import { registerRoutes, services } from "./routes.ts";
import { openSigning } from "./signing/watched-authority.ts";

export { access } from "./access.ts";
export { type BootstrapOptions, type Bootstrapped, bootstrap, type FirstBackend } from "./bootstrap.ts";
export { bootstrapSettings, type Config, settings } from "./config.ts";
export type { AppContext, Dependencies } from "./context.ts";

export interface WorkflowRunModule extends ServiceModule {
  /** For bootstrap. */
  readonly context: AppContext;
}

/** Brings the database to the newest schema. */
export async function migrateDatabase(config: Pick<Config, "databaseUrl">, logger: Logger): Promise<void> {
  await migrate({ url: config.databaseUrl, schemaDir, logger });
}

/**
 * The service, ready to be served. Until the database is there and has its schema (see migrateDatabase), it is not
 * ready and does nothing in the background. Throws SettingError for a signing authority that cannot be used.
 */
export async function createWorkflowRun(config: Config, dependencies: Dependencies): Promise<WorkflowRunModule> {
  const signing = await openSigning(config, dependencies.logger);
  const context = createContext(config, dependencies, { signing });
  const { database, revocations, tokenUses, background } = context;
  const stopping = new AbortController();
  let starting: Promise<void> | undefined;
  let destroyed: Promise<void> | undefined;
  async function startBackground({ signal }: AbortController): Promise<void> {
    await database.readiness.wait(signal);
    if (signal.aborted) return;
    for (const work of background) work.start?.();
  }
  async function destroy(): Promise<void> {
    stopping.abort();
    await starting;
    await Promise.all([revocations, tokenUses, ...background].map((work) => work.destroy()));
    await database.close();
  }
  return {
    name: "workflow-run",
    services,
    routes: (router) => registerRoutes(router, context),
    access,
    http: [createJwksRoute(dependencies.keyring)],
    authenticator: context.authenticator,
    context,
    ready: () => database.readiness.check(),
    async start() {
      revocations.start();
      tokenUses.start();
      starting ??= startBackground(stopping);
    },
    destroy() {
      destroyed ??= destroy();
      return destroyed;
    },
  };
}
