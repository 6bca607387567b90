import { UploadState } from "@attestry/api/ingest";
import { afterEach, expect, test } from "@jest/globals";
import pg from "pg";
import { type Constellation, startConstellation } from "../src/constellation/index.ts";
import { clientsOf, eventually, startRun, uploadIn } from "./system/clients.ts";
import { uniqueBundle } from "./system/fixtures.ts";

const worker = "attestation-ingest-worker";
const toGateway = `${worker}>cas-gateway` as const;
const withinMs = 60_000;

let constellation: Constellation | undefined;

afterEach(async () => {
  await constellation?.stop();
  constellation = undefined;
});

async function leaseOwner(): Promise<string | null> {
  const database = new pg.Client({ connectionString: constellation?.servers.ingestDatabase });
  await database.connect();
  try {
    return (await database.query("select lease_owner from upload")).rows[0].lease_owner;
  } finally {
    await database.end();
  }
}

test("what a worker was uploading when it was killed is uploaded by another within a minute", async () => {
  constellation = await startConstellation({
    shape: "processes",
    backend: "filesystem",
    separateWorker: true,
    links: [toGateway],
  });
  const clients = clientsOf(constellation, constellation.adminToken);
  const link = constellation.link(toGateway);
  link.up = "stall";
  const runId = await startRun(clients);
  const { digest } = await clients.attestations.store({ runId, bundle: uniqueBundle() });
  const killed = await eventually(leaseOwner, (owner) => owner !== null);

  await constellation.kill(worker);
  const end = performance.now() + withinMs;
  link.up = "pass";
  await constellation.restart(worker);
  // By its lease it still belongs to the one that is no more.
  expect(await leaseOwner()).toBe(killed);
  const confirmed = () => uploadIn(clients, UploadState.CONFIRMED);
  const found = await eventually(confirmed, (upload) => upload !== undefined, end - performance.now());
  expect(found).toMatchObject({ digest, attempts: 1 });
}, 120_000);
