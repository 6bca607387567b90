import { readFileSync } from "node:fs";
import path from "node:path";
import { AttestationService, Mode, UploadState } from "@attestry/api/ingest";
import { RunService } from "@attestry/api/run";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect, test } from "@jest/globals";
import { type Constellation, startConstellation } from "../src/constellation/index.ts";
import { describeWith } from "../src/index.ts";

const sample = readFileSync(path.join(import.meta.dirname, "../../../docs/sample/bundle.json"));

interface Talk {
  runs: Client<typeof RunService>;
  attestations: Client<typeof AttestationService>;
  headers: { authorization: string };
}

function talkTo({ runUrl, ingestUrl, adminToken }: Constellation): Talk {
  return {
    runs: createClient(RunService, createGrpcTransport({ baseUrl: runUrl })),
    attestations: createClient(AttestationService, createGrpcTransport({ baseUrl: ingestUrl })),
    headers: { authorization: `Bearer ${adminToken}` },
  };
}

async function store({ runs, attestations, headers }: Talk) {
  const { run } = await runs.create({ project: "dev-env", workflow: "test" }, { headers });
  const runId = run?.id ?? "";
  return attestations.store({ runId, bundle: sample }, { headers, timeoutMs: 30_000 });
}

async function expectSample({ attestations, headers }: Talk, digest: string): Promise<void> {
  const { bundle } = await attestations.get({ by: { case: "digest", value: digest } }, { headers });
  expect(Buffer.from(bundle).equals(sample)).toBe(true);
}

test("in one process, with a folder as the backend, a bundle goes in and comes back", async () => {
  const constellation = await startConstellation({ shape: "one-process", backend: "filesystem" });
  try {
    const talk = talkTo(constellation);
    const stored = await store(talk);
    expect(stored.mode).toBe(Mode.DATABASE);
    await expectSample(talk, stored.digest);
  } finally {
    await constellation.stop();
  }
}, 60_000);

describeWith(["redis", "minio"], "separate processes with Redis and MinIO", () => {
  test("a bundle goes into the bucket before Store answers, and comes back", async () => {
    const constellation = await startConstellation({
      shape: "processes",
      backend: "s3",
      redis: true,
      skipDbStorage: "true",
      separateWorker: true,
    });
    try {
      const talk = talkTo(constellation);
      const stored = await store(talk);
      expect(stored).toMatchObject({ mode: Mode.CAS, upload: UploadState.CONFIRMED });
      await expectSample(talk, stored.digest);
    } finally {
      await constellation.stop();
    }
  }, 120_000);
});

test("services and servers of its own can be killed, paused and brought back with their data", async () => {
  const constellation = await startConstellation({ shape: "processes", backend: "inline", ownServers: true });
  try {
    const { digest } = await store(talkTo(constellation));
    await constellation.kill("attestation-ingest");
    await expect(fetch(`${constellation.ingestUrl}/readyz`)).rejects.toThrow();
    await constellation.restart("attestation-ingest");
    await expectSample(talkTo(constellation), digest);

    await constellation.kill("postgres");
    expect((await fetch(`${constellation.ingestUrl}/readyz`)).status).toBe(503);
    await constellation.restart("postgres");
    await expectSample(talkTo(constellation), digest);

    constellation.pause("cas-gateway");
    await expect(fetch(`${constellation.casUrl}/readyz`, { signal: AbortSignal.timeout(300) })).rejects.toThrow();
    constellation.resume("cas-gateway");
    expect((await fetch(`${constellation.casUrl}/readyz`)).status).toBe(200);
    expect(() => constellation.pause("redis")).toThrow("no redis of its own");
  } finally {
    await constellation.stop();
  }
}, 120_000);
