import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createLogger, createMetrics, readSettings } from "@attestry/service-kit";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { FilesystemBackend } from "../src/backends/filesystem.ts";
import { blobKey } from "../src/blobs/key.ts";
import { createCasGateway, settings } from "../src/index.ts";
import { filesBelow, randomBlob } from "./blobs.ts";
import { acme } from "./harness.ts";
import { createRetentionWorld, daySeconds, type RetentionWorld } from "./retention-world.ts";
import { eventually } from "./scrub-world.ts";

let dir: string;
let root: string;
let world: RetentionWorld;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "attestry-retention-"));
  root = join(dir, "store", acme.name);
  await mkdir(join(dir, "_shared"));
  await writeFile(
    join(dir, "_shared", "store.json"),
    JSON.stringify({ provider: "filesystem", path: join(dir, "store") }),
  );
  world = await createRetentionWorld(new FilesystemBackend({ root, uploadRetentionMs: 86_400_000 }), "filesystem");
  world.bounds = { atLeastSeconds: 0, atMostSeconds: daySeconds };
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function startGateway(role: string, env: NodeJS.ProcessEnv = {}) {
  const keyFiles = { ATTESTRY_SIGNING_KEY_FILE: "-", ATTESTRY_JWKS_FILE: "-" };
  const own = { CAS_SECRETS_DIR: dir, CAS_GATEWAY_ROLE: role };
  const times = { CAS_GATEWAY_RETENTION_EVERY: "50ms", CAS_GATEWAY_RETENTION_GRACE: "100ms" };
  const gateway = await createCasGateway(readSettings(settings, { ...keyFiles, ...own, ...times, ...env }), {
    ...{ keyring: world.keyring, logger: createLogger({ name: "cas-gateway", level: "silent" }), run: world.run },
    metrics: createMetrics(),
  });
  await gateway.start();
  return gateway;
}

const content = async (text: string) => (await filesBelow(root)).filter((name) => name.includes(text));

test("a gateway removes old materials in every role but api", async () => {
  const [old, young] = [randomBlob(1_000), randomBlob(1_000)];
  await world.write(old);
  await world.write(young);
  const longAgo = new Date(Date.now() - 2 * daySeconds * 1_000);
  await utimes(join(root, blobKey("blobs", old.hex)), longAgo, longAgo);

  const api = await startGateway("api");
  await sleep(300);
  await api.destroy();
  expect(await content(old.hex)).toEqual([blobKey("blobs", old.hex)]);

  const restored = await startGateway("all", { RETENTION_DELETES: "false" });
  await sleep(300);
  await restored.destroy();
  expect(await content(old.hex)).toEqual([blobKey("blobs", old.hex)]);

  const scrubber = await startGateway("scrubber");
  // While a file is moved a listing may miss it.
  const isRemoved = async () => world.recorded.length === 2 && (await content(old.hex)).length === 0;
  await eventually(isRemoved, "the old one is removed");
  await scrubber.destroy();
  expect(await content(young.hex)).toEqual([blobKey("blobs", young.hex)]);
  expect(world.recorded).toEqual([`material.expire ${old.digest}`, `material.delete ${old.digest}`]);
});

test("after a start nothing is removed before one interval is over, however long it has been out of sight", async () => {
  world.recorded.length = 0;
  const material = randomBlob(1_000);
  await world.write(material);
  const longAgo = new Date(Date.now() - 2 * daySeconds * 1_000);
  await utimes(join(root, blobKey("blobs", material.hex)), longAgo, longAgo);
  const hiding = await startGateway("scrubber", { CAS_GATEWAY_RETENTION_GRACE: "1h" });
  const isHidden = async () => (await content(material.hex)).some((name) => name.includes("expired/"));
  await eventually(isHidden, "it is out of sight");
  await hiding.destroy();

  const everyMs = 1_500;
  const startedAt = performance.now();
  const gateway = await startGateway("scrubber", {
    CAS_GATEWAY_RETENTION_EVERY: `${everyMs}ms`,
    CAS_GATEWAY_RETENTION_GRACE: "1ms",
  });
  const isRecorded = () => world.recorded.includes(`material.delete ${material.digest}`);
  await eventually(async () => isRecorded() && (await content(material.hex)).length === 0, "it is removed");
  expect(performance.now() - startedAt).toBeGreaterThan(everyMs);
  await gateway.destroy();
});
