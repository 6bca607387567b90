import type { Registry } from "prom-client";
import type { Logger } from "../observe/logger.ts";
import type { ListenAddress } from "../settings.ts";
import type { ServiceModule } from "./module.ts";
import { serve } from "./serve.ts";

export interface RunServiceOptions {
  listen: ListenAddress;
  logger: Logger;
  metrics: Registry;
  /** How long it takes calls after it was told to end, in milliseconds. */
  drainMs: number;
}

/** The life of a service process: serve, work, and end in order on SIGTERM or SIGINT. Then the process ends by itself. */
export async function runService(module: ServiceModule, options: RunServiceOptions): Promise<void> {
  const { listen, drainMs, logger, metrics } = options;
  const server = await serve({ modules: [module], listen, drainMs, logger, metrics });
  await module.start();
  logger.info({ url: server.url }, `${module.name} is serving`);

  let stopping = false;
  async function stop(signal: NodeJS.Signals): Promise<void> {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, `${module.name} is stopping`);
    await server.close();
    await module.destroy();
    logger.info(`${module.name} has stopped`);
  }
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      stop(signal).catch((error: unknown) => {
        logger.error({ err: error }, "could not stop in order");
        process.exitCode = 1;
      });
    });
  }
}
