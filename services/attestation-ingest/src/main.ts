import {
  commonSettings,
  createClockReport,
  createLogger,
  createMetrics,
  Keyring,
  Peers,
  readSettings,
  runMain,
  runService,
} from "@attestry/service-kit";
import { createAttestationIngest, migrateDatabase, serviceSettings, settings } from "./index.ts";

await runMain("attestation-ingest", async () => {
  const { logLevel } = readSettings({ logLevel: commonSettings.logLevel });
  const logger = createLogger({ name: "attestation-ingest", level: logLevel });

  if (process.argv[2] === "migrate") {
    await migrateDatabase(readSettings(serviceSettings), logger);
  } else {
    const config = readSettings(settings);
    const metrics = createMetrics();
    const keyring = await Keyring.load(config, createClockReport({ logger, metrics }));
    const peers = await Peers.open(config, { keyring, logger, metrics });
    const run = peers.at(config.runAddress, "workflow-run");
    const cas = peers.at(config.casAddress, "cas-gateway");
    const ingest = await createAttestationIngest(config, { keyring, logger, metrics, run, cas });
    async function destroy(): Promise<void> {
      await ingest.destroy();
      await peers.close();
    }
    await runService({ ...ingest, destroy }, { config, logger, metrics });
  }
});
