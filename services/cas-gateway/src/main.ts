import {
  createClockReport,
  createLogger,
  createMetrics,
  createServiceTransport,
  Keyring,
  readSettings,
  runMain,
  runService,
} from "@attestry/service-kit";
import { createCasGateway, settings } from "./index.ts";

await runMain("cas-gateway", async () => {
  const config = readSettings(settings);
  const logger = createLogger({ name: "cas-gateway", level: config.logLevel });
  const metrics = createMetrics();
  const keyring = await Keyring.load(config, createClockReport({ logger, metrics }));
  const run = createServiceTransport({ address: config.runAddress, keyring, to: "workflow-run" });
  const ingest =
    config.ingestAddress === undefined
      ? undefined
      : createServiceTransport({ address: config.ingestAddress, keyring, to: "attestation-ingest" });
  const gateway = await createCasGateway(config, { keyring, logger, run, ingest, metrics });
  async function destroy(): Promise<void> {
    await gateway.destroy();
    run.close();
    ingest?.close();
  }
  await runService({ ...gateway, destroy }, { listen: config.listen, drainMs: config.drainMs, logger, metrics });
});
