import {
  createLogger,
  createMetrics,
  createServiceTransport,
  Keyring,
  readSettings,
  runService,
} from "@attestry/service-kit";
import { createCasGateway, settings } from "./index.ts";

const config = readSettings(settings);
const logger = createLogger({ name: "cas-gateway", level: config.logLevel });
const metrics = createMetrics();
const keyring = await Keyring.load(config);
const run = createServiceTransport({ address: config.runAddress, keyring, to: "workflow-run" });
const gateway = await createCasGateway(config, { keyring, logger, run, metrics });
await runService(gateway, { listen: config.listen, logger, metrics });
