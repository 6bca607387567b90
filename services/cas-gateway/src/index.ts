import { ByteStream } from "@attestry/api/bytestream";
import { BlobService, ScrubService } from "@attestry/api/cas";
import { Capabilities, ContentAddressableStorage } from "@attestry/api/reapi";
import { ResourceService, resourceAccess } from "@attestry/chainloop-compat/cas";
import type { ServiceModule } from "@attestry/service-kit";
import { access } from "./access.ts";
import { type ContextConfig, createContext, type Dependencies } from "./context.ts";
import { createBlobRoute } from "./http/blob-route.ts";
import { registerRoutes } from "./routes/index.ts";

export { resourceAccess as chainloopAccess } from "@attestry/chainloop-compat/cas";
export { access } from "./access.ts";
export { type Config, settings } from "./config.ts";

const services = [ByteStream, ContentAddressableStorage, Capabilities, BlobService, ScrubService];

/**
 * The CAS gateway, which alone speaks to object storage. It has no database, and needs workflow-run only
 * for callers with an API token and for the scrubber.
 */
export async function createCasGateway(config: ContextConfig, dependencies: Dependencies): Promise<ServiceModule> {
  const context = createContext(config, dependencies);
  return {
    name: "cas-gateway",
    services: config.chainloopCompat ? [...services, ResourceService] : services,
    routes: (router) => registerRoutes(router, context),
    access: config.chainloopCompat ? { ...access, ...resourceAccess } : access,
    http: [createBlobRoute(context)],
    authenticator: context.authenticator,
    ready: async () => undefined,
    start: async () => {
      context.revocations.start();
      context.tokenUses.start();
      context.scrubber?.start();
      context.sweeper.start();
      context.materials?.start();
    },
    destroy: async () => {
      const { revocations, tokenUses, scrubber, sweeper, materials } = context;
      await Promise.all(
        [revocations, tokenUses, scrubber, sweeper, materials].map(async (running) => running?.destroy()),
      );
      context.backends.close();
    },
  };
}
