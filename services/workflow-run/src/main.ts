import { writeFile } from "node:fs/promises";
import {
  createLogger,
  createMetrics,
  createServiceTransport,
  Keyring,
  readSettings,
  runService,
} from "@attestry/service-kit";
import { bootstrap, bootstrapSettings, createWorkflowRun, migrateDatabase, settings } from "./index.ts";

const config = readSettings(settings);
const logger = createLogger({ name: "workflow-run", level: config.logLevel });

switch (process.argv[2]) {
  case "migrate":
    await migrateDatabase(config, logger);
    break;
  case "bootstrap":
    await bootstrapInstance();
    break;
  default: {
    const { module, metrics } = await create();
    await runService(module, { listen: config.listen, logger, metrics });
  }
}

async function create() {
  const keyring = await Keyring.load(config);
  const metrics = createMetrics();
  const cas = createServiceTransport({ address: config.casAddress, keyring, to: "cas-gateway" });
  const service = await createWorkflowRun(config, { keyring, logger, metrics, cas });
  async function destroy(): Promise<void> {
    await service.destroy();
    cas.close();
  }
  return { metrics, module: { ...service, destroy } };
}

async function bootstrapInstance(): Promise<void> {
  const { organization, backend: name, provider, secretRef, tokenFile } = readSettings(bootstrapSettings);
  const { module } = await create();
  const backend = name === undefined ? {} : { backend: { name, provider, secretRef } };
  const { adminToken = "" } = await bootstrap(module.context, { organization, ...backend });
  await module.destroy();
  if (tokenFile === undefined) process.stdout.write(`${adminToken}\n`);
  else await writeFile(tokenFile, `${adminToken}\n`, { mode: 0o600 });
}
