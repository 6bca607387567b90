import {
  commonSettings,
  createClockReport,
  createLogger,
  createMetrics,
  createServiceTransport,
  Keyring,
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
    const run = createServiceTransport({ address: config.runAddress, keyring, to: "workflow-run" });
    const cas = createServiceTransport({ address: config.casAddress, keyring, to: "cas-gateway" });
    const ingest = await createAttestationIngest(config, { keyring, logger, metrics, run, cas });
    async function destroy(): Promise<void> {
      await ingest.destroy();
      run.close();
      cas.close();
    }
    await runService({ ...ingest, destroy }, { listen: config.listen, drainMs: config.drainMs, logger, metrics });
  }
});
