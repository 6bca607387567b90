import type { Registry } from "prom-client";
import type { Logger } from "../observe/logger.ts";
import type { ListenAddress } from "../setting.ts";
import { isLoopback } from "./loopback.ts";
import type { ServiceModule } from "./module.ts";
import { serve } from "./serve.ts";
import { serverTlsOf, type TransportConfig } from "./settings.ts";

export interface RunServiceOptions {
  /** `drainMs`: how long it takes calls after it was told to end, in milliseconds. */
  config: TransportConfig & { listen: ListenAddress; drainMs: number };
  logger: Logger;
  metrics: Registry;
}

/** The life of a service process: serve, work, and end in order on SIGTERM or SIGINT. Then the process ends by itself. */
export async function runService(module: ServiceModule, options: RunServiceOptions): Promise<void> {
  const { config, logger, metrics } = options;
  const { listen, drainMs } = config;
  const tls = serverTlsOf(config);
  if (tls === undefined && !isLoopback(listen.host))
    logger.warn(
      { listen },
      "tokens cross the network in clear text: serve with TLS (docs/tls.md), or behind something that does",
    );
  const server = await serve({ modules: [module], listen, drainMs, tls, limits: config, logger, metrics });
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
