import { writeFile } from "node:fs/promises";
import {
  createClockReport,
  createLogger,
  createMetrics,
  Keyring,
  type Logger,
  Peers,
  readSettings,
  runMain,
  runService,
} from "@attestry/service-kit";
import { bootstrap, bootstrapSettings, type Config, createWorkflowRun, migrateDatabase, settings } from "./index.ts";

await runMain("workflow-run", async () => {
  const config = readSettings(settings);
  const logger = createLogger({ name: "workflow-run", level: config.logLevel });
  switch (process.argv[2]) {
    case "migrate":
      return migrateDatabase(config, logger);
    case "bootstrap":
      return bootstrapInstance(config, logger);
    default: {
      const { module, metrics } = await create(config, logger);
      await runService(module, { config, logger, metrics });
    }
  }
});

async function create(config: Config, logger: Logger) {
  const metrics = createMetrics();
  const keyring = await Keyring.load(config, createClockReport({ logger, metrics }));
  const peers = await Peers.open(config, { keyring, logger, metrics });
  const cas = peers.at(config.casAddress, "cas-gateway");
  const service = await createWorkflowRun(config, { keyring, logger, metrics, cas });
  async function destroy(): Promise<void> {
    await service.destroy();
    await peers.close();
  }
  return { metrics, module: { ...service, destroy } };
}

async function bootstrapInstance(config: Config, logger: Logger): Promise<void> {
  const { organization, backend: name, provider, secretRef, tokenFile } = readSettings(bootstrapSettings);
  const { module } = await create(config, logger);
  await module.ready();
  const backend = name === undefined ? {} : { backend: { name, provider, secretRef } };
  const { adminToken = "" } = await bootstrap(module.context, { organization, ...backend });
  await module.destroy();
  if (tokenFile === undefined) process.stdout.write(`${adminToken}\n`);
  else await writeFile(tokenFile, `${adminToken}\n`, { mode: 0o600 });
}
