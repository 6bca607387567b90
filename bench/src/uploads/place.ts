import { BackendProvider, BackendService } from "@attestry/api/run";
import type { MinioAccess } from "@attestry/dev-env";
import { startConstellation } from "@attestry/dev-env/constellation";
import pg from "pg";
import { openClient } from "../grpc-client.ts";

export const external = { provider: BackendProvider.S3, secretRef: "_shared/minio" };

/** The services as processes over MinIO, whose upload workers come and go. */
export interface Place {
  runUrl: string;
  ingestUrl: string;
  adminToken: string;
  database: pg.Pool;
  minio: MinioAccess;
  /** The first organization and its external backend, for rows that no Store wrote. */
  backend: { organizationId: string; backendId: string };
  endWorkers(): Promise<void>;
  startWorkers(count: 1 | 2): Promise<void>;
  stop(): Promise<void>;
}

/** Needs a MinIO on this machine. */
export async function startPlace(): Promise<Place> {
  // Read at each start of the process: it becomes the second worker by its role.
  const api = { ATTESTATION_INGEST_ROLE: "api" };
  const constellation = await startConstellation({
    shape: "processes",
    backend: "s3",
    separateWorker: true,
    ownServers: true,
    // The rate is not to be bounded: what is measured is the path.
    env: { LOG_LEVEL: "error", ATTESTATION_INGEST_UPLOADS_PER_SECOND: "100000" },
    envOf: { "attestation-ingest": api },
  });
  const { runUrl, ingestUrl, adminToken, organizationId, servers } = constellation;
  const database = new pg.Pool({ connectionString: servers.ingestDatabase, max: 2 });

  async function setRole(role: "api" | "all"): Promise<void> {
    if (api.ATTESTATION_INGEST_ROLE === role) return;
    api.ATTESTATION_INGEST_ROLE = role;
    await constellation.restart("attestation-ingest");
  }
  return {
    ...{ runUrl, ingestUrl, adminToken, database },
    minio: servers.minio ?? fail("the bench of uploads needs a MinIO"),
    backend: { organizationId, backendId: await externalBackend(runUrl, adminToken) },
    endWorkers: async () => {
      await constellation.end("attestation-ingest-worker");
      await setRole("api");
    },
    startWorkers: async (count) => {
      await Promise.all([constellation.restart("attestation-ingest-worker"), setRole(count === 2 ? "all" : "api")]);
    },
    stop: async () => {
      await database.end();
      await constellation.stop();
    },
  };
}

async function externalBackend(runUrl: string, token: string): Promise<string> {
  const client = openClient(runUrl, token);
  const { backends } = await client.call(BackendService.method.list, {});
  client.close();
  return backends.find(({ provider }) => provider === BackendProvider.S3)?.id ?? fail("there is no external backend");
}

function fail(what: string): never {
  throw new Error(what);
}
