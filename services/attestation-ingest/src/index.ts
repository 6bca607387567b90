import {
  AttestationService,
  AuditService,
  GcService,
  MigrationService,
  ReferenceService,
  UploadService,
} from "@attestry/api/ingest";
import { createControlPlane } from "@attestry/chainloop-compat/control-plane";
import { createInProcessTransport, type Logger, type ServiceModule } from "@attestry/service-kit";
import { listAuditEvents } from "@attestry/service-kit/audit";
import { migrate } from "@attestry/service-kit/postgres";
import packageJson from "../package.json" with { type: "json" };
import { access } from "./access.ts";
import { type ServiceConfig, schemaDir } from "./config.ts";
import { createContext, type Dependencies } from "./context.ts";
import { collectUnused } from "./routes/collect-unused.ts";
import { download } from "./routes/download.ts";
import { get } from "./routes/get.ts";
import { getMigrationProgress } from "./routes/get-migration-progress.ts";
import { list } from "./routes/list.ts";
import { listBundles } from "./routes/list-bundles.ts";
import { listUnused } from "./routes/list-unused.ts";
import { listUploads } from "./routes/list-uploads.ts";
import { queueMigration } from "./routes/queue-migration.ts";
import { retryUploads } from "./routes/retry-uploads.ts";
import { store, storeReadMaxBytes } from "./routes/store.ts";

export { access as chainloopAccess } from "@attestry/chainloop-compat/control-plane";
export { access } from "./access.ts";
export { type Config, type ServiceConfig, serviceSettings, settings } from "./config.ts";
export type { Dependencies } from "./context.ts";

/** The service, ready to be served. The database is to have its schema: see migrateDatabase. */
export async function createAttestationIngest(
  config: ServiceConfig,
  dependencies: Dependencies,
): Promise<ServiceModule> {
  const context = createContext(config, dependencies);
  const native: ServiceModule = {
    name: "attestation-ingest",
    services: [AttestationService, UploadService, GcService, MigrationService, ReferenceService, AuditService],
    access,
    authenticator: context.authenticator,
    routes(router) {
      const { method } = AttestationService;
      router.rpc(method.store, (request, call) => store(context, request, call), { readMaxBytes: storeReadMaxBytes });
      router.rpc(method.get, (request, call) => get(context, request, call));
      router.rpc(method.download, (request, call) => download(context, request, call));
      router.rpc(method.list, (request, call) => list(context, request, call));
      router.rpc(UploadService.method.list, (request, call) => listUploads(context, request, call));
      router.rpc(UploadService.method.retry, (request, call) => retryUploads(context, request, call));
      router.rpc(GcService.method.list, (request, call) => listUnused(context, request, call));
      router.rpc(GcService.method.collect, (request, call) => collectUnused(context, request, call));
      router.rpc(MigrationService.method.queue, (request, call) => queueMigration(context, request, call));
      router.rpc(MigrationService.method.getProgress, (request, call) => getMigrationProgress(context, request, call));
      router.rpc(AuditService.method.list, (request, call) => listAuditEvents(context.audit, request, call));
      router.rpc(ReferenceService.method.listBundles, (request) => listBundles(context, request));
    },
    ready: context.ready,
    start: async () => context.start(),
    destroy: context.destroy,
  };
  return config.chainloopCompat ? withChainloop(native, dependencies) : native;
}

/** With what the chainloop command line calls; it calls the native services in turn, with its callers' tokens. */
function withChainloop(native: ServiceModule, { keyring, run, cas }: Dependencies): ServiceModule {
  const ingest = createInProcessTransport(() => native, { keyring, to: native.name });
  const compat = createControlPlane({ run, ingest, cas, version: packageJson.version });
  return {
    ...native,
    services: [...native.services, ...compat.services],
    access: { ...native.access, ...compat.access },
    routes(router) {
      native.routes(router);
      compat.routes(router);
    },
    async destroy() {
      await compat.destroy();
      await native.destroy();
    },
  };
}

/** Brings the database to the schema of this build. */
export function migrateDatabase(config: Pick<ServiceConfig, "databaseUrl">, logger: Logger): Promise<void> {
  return migrate({ url: config.databaseUrl, schemaDir, logger });
}
