import {
  createClockReport,
  createLogger,
  createMetrics,
  Keyring,
  Peers,
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
  const peers = await Peers.open(config, { keyring, logger, metrics });
  const run = peers.at(config.runAddress, "workflow-run");
  const { ingestAddress } = config;
  const ingest = ingestAddress === undefined ? undefined : peers.at(ingestAddress, "attestation-ingest");
  const gateway = await createCasGateway(config, { keyring, logger, run, ingest, metrics });
  async function destroy(): Promise<void> {
    await gateway.destroy();
    await peers.close();
  }
  await runService({ ...gateway, destroy }, { config, logger, metrics });
});
