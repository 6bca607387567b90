import { createTestDatabase } from "@attestry/dev-env";
import { createLogger, createMetrics, Keyring, readSettings } from "@attestry/service-kit";
import { createRouterTransport } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createWorkflowRun, migrateDatabase, settings } from "../src/index.ts";

let database: Awaited<ReturnType<typeof createTestDatabase>>;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

async function create(url: string) {
  const env = { WORKFLOW_RUN_DATABASE_URL: url, ATTESTRY_SIGNING_KEY_FILE: "-", ATTESTRY_JWKS_FILE: "-" };
  const config = readSettings(settings, env);
  const logger = createLogger({ name: "workflow-run", level: "silent" });
  const { "workflow-run": keyring } = await Keyring.generate();
  const cas = createRouterTransport(() => undefined);
  return {
    config,
    logger,
    module: await createWorkflowRun(config, { keyring, logger, metrics: createMetrics(), cas }),
  };
}

test("starts before its database has the schema, and is ready once it has", async () => {
  const { config, logger, module } = await create(database.url);
  await module.start();
  await expect(module.ready()).rejects.toThrow("lacks the migration");
  await migrateDatabase(config, logger);
  await module.ready();
  await module.destroy();
});

test("starts while its database is away, and ends", async () => {
  const { module } = await create("postgres://nobody@127.0.0.1:1/none");
  await module.start();
  await expect(module.ready()).rejects.toThrow();
  await module.destroy();
});
