import { Mode, UploadState } from "@attestry/api/ingest";
import { RunState, StorageMode } from "@attestry/api/run";
import { reasonOf } from "@attestry/service-kit";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { type Constellation, startConstellation } from "../../src/constellation/index.ts";
import { describeWith } from "../../src/index.ts";
import { type Clients, clientsOf, download, eventually, startRun } from "./clients.ts";
import { acceptedBundles, digestOf, fixture, uniqueBundle } from "./fixtures.ts";

interface Expected {
  skipDbStorage: "false" | "true" | "spool";
  mode: Mode;
  upload: UploadState;
}

const external: Expected[] = [
  { skipDbStorage: "false", mode: Mode.DATABASE, upload: UploadState.PENDING },
  { skipDbStorage: "true", mode: Mode.CAS, upload: UploadState.CONFIRMED },
  { skipDbStorage: "spool", mode: Mode.SPOOL, upload: UploadState.PENDING },
];

describeWith(["minio", "redis"], "three processes, PostgreSQL, Redis and MinIO", () => {
  describe.each(external)("ATTESTATIONS_SKIP_DB_STORAGE=$skipDbStorage", ({ skipDbStorage, mode, upload }) => {
    let attestry: Constellation;
    let clients: Clients;
    let database: pg.Pool;

    beforeAll(async () => {
      attestry = await startConstellation({
        shape: "processes",
        backend: "s3",
        redis: true,
        skipDbStorage,
        separateWorker: true,
        env: { ATTESTATION_INGEST_SPOOL_GRACE: "10ms", ATTESTATION_INGEST_SPOOL_PRUNE: "100ms" },
      });
      clients = clientsOf(attestry, attestry.adminToken);
      database = new pg.Pool({ connectionString: attestry.servers.ingestDatabase, max: 2 });
    }, 60_000);
    afterAll(async () => {
      await database?.end();
      await attestry?.stop();
    }, 60_000);

    async function bytesInDatabase(digest: string): Promise<boolean> {
      const { rows } = await database.query("select bundle is not null as held from attestation where digest = $1", [
        Buffer.from(digest.slice("sha256:".length), "hex"),
      ]);
      return rows[0]?.held;
    }
    async function stateOf(runId: string): Promise<UploadState | undefined> {
      const { attestation } = await clients.attestations.get({ by: { case: "runId", value: runId } });
      return attestation?.uploads[0]?.state;
    }

    test("50 clients store the same and other bundles for one run at once: one wins, each gets a clear answer", async () => {
      const runId = await startRun(clients);
      const bundles = Array.from({ length: 5 }, uniqueBundle);
      const answers = await Promise.allSettled(
        Array.from({ length: 50 }, (_, n) =>
          clients.attestations.store({ runId, bundle: bundles[n % bundles.length] ?? Buffer.alloc(0) }),
        ),
      );
      const { run } = await clients.runs.get({ by: { case: "runId", value: runId } });
      expect(run?.state).toBe(RunState.SUCCESS);
      const { bundle } = await clients.attestations.get({ by: { case: "runId", value: runId } });
      expect(digestOf(bundle)).toBe(run?.attestationDigest);
      answers.forEach((answer, n) => {
        const mine = digestOf(bundles[n % bundles.length] ?? Buffer.alloc(0));
        if (answer.status === "fulfilled") expect(answer.value.digest).toBe(run?.attestationDigest);
        else expect(reasonOf(answer.reason)).toBe("RUN_HAS_OTHER_ATTESTATION");
        // Who came with the winner's bytes was told OK, and nobody else.
        expect(answer.status === "fulfilled").toBe(mine === run?.attestationDigest);
      });
      const { rows } = await database.query("select count(*)::int as n from attestation where run_id = $1", [runId]);
      expect(rows[0]?.n).toBe(1);
    });

    test.each(acceptedBundles)("%s goes in, and comes back byte for byte from every place", async (name) => {
      const bundle = fixture(name);
      const digest = digestOf(bundle);
      const runId = await startRun(clients);
      const stored = await clients.attestations.store({ runId, bundle });
      expect(stored).toMatchObject({ runId, digest, mode, upload });

      const { run } = await clients.runs.get({ by: { case: "digest", value: digest } });
      expect(run).toMatchObject({ id: runId, state: RunState.SUCCESS, attestationDigest: digest });
      const byRun = await clients.attestations.get({ by: { case: "runId", value: runId } });
      expect(Buffer.compare(byRun.bundle, bundle)).toBe(0);
      expect(Buffer.compare(await download(clients, digest), bundle)).toBe(0);
      const { attestations } = await clients.attestations.list({ pageSize: 1 });
      expect(attestations[0]).toMatchObject({ digest, runId, project: "shop", workflow: "release", mode });

      await eventually(
        () => stateOf(runId),
        (state) => state === UploadState.CONFIRMED,
      );
      if (skipDbStorage === "spool") {
        await eventually(
          () => bytesInDatabase(digest),
          (held) => !held,
        );
      } else expect(await bytesInDatabase(digest)).toBe(mode === Mode.DATABASE);
    });

    test("after a restart without any cache, bundles still come back", async () => {
      const bundle = uniqueBundle();
      const runId = await startRun(clients);
      const { digest } = await clients.attestations.store({ runId, bundle });
      await eventually(
        () => stateOf(runId),
        (state) => state === UploadState.CONFIRMED,
      );
      if (skipDbStorage === "spool") {
        await eventually(
          () => bytesInDatabase(digest),
          (held) => !held,
        );
      }
      await attestry.kill("attestation-ingest");
      await attestry.restart("attestation-ingest");
      clients = clientsOf(attestry, attestry.adminToken);
      const { bundle: read } = await clients.attestations.get({ by: { case: "digest", value: digest } });
      expect(Buffer.compare(read, bundle)).toBe(0);
    }, 60_000);

    test("a run with an inline backend stores in the database, whatever the setting", async () => {
      const name = `inline-${skipDbStorage}`;
      await clients.organizations.create({ name });
      const { secret } = await clients.tokens.create({ name: "ci", role: 2, organization: name });
      const theirs = clientsOf(attestry, secret);
      const bundle = uniqueBundle();
      const stored = await theirs.attestations.store({ runId: await startRun(theirs), bundle });
      expect(stored).toMatchObject({ mode: Mode.DATABASE, upload: UploadState.NONE });
      // Another organization does not see it.
      const attempt = clients.attestations.get({ by: { case: "digest", value: stored.digest } });
      await expect(attempt).rejects.toThrow(/not_found/);
    });

    test("an organization's own mode wins over the setting", async () => {
      const other = mode === Mode.CAS ? StorageMode.SPOOL : StorageMode.CAS;
      await clients.organizations.update({ storageMode: other });
      const stored = await clients.attestations.store({ runId: await startRun(clients), bundle: uniqueBundle() });
      expect(stored.mode).toBe(mode === Mode.CAS ? Mode.SPOOL : Mode.CAS);
      await clients.organizations.update({ storageMode: StorageMode.UNSPECIFIED });
    });
  });
});
