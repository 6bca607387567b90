import { AttestationService } from "@attestry/api/ingest";
import { RunService } from "@attestry/api/run";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import pg from "pg";

export type SkipDatabase = "false" | "true" | "spool";

/** The services as processes on servers of their own, all of which may be killed, and clients of them. */
export interface World {
  constellation: Constellation;
  runs: Client<typeof RunService>;
  attestations: Client<typeof AttestationService>;
  /** Of ingest. */
  query<T extends pg.QueryResultRow>(text: string): Promise<T[]>;
  stop(): Promise<void>;
}

/** Background work is quick, so that what is mended is mended within the test. */
const env = {
  LOG_LEVEL: "warn",
  ATTESTATION_INGEST_UPLOAD_LEASE: "3s",
  ATTESTATION_INGEST_BACKEND_PROBE: "1s",
  ATTESTATION_INGEST_RECONCILE: "500ms",
  ATTESTATION_INGEST_RECONCILE_AFTER: "2s",
  ATTESTATION_INGEST_SPOOL_GRACE: "1s",
  ATTESTATION_INGEST_SPOOL_PRUNE: "500ms",
};

export async function startWorld(mode: SkipDatabase): Promise<World> {
  const constellation = await startConstellation({
    shape: "processes",
    backend: "s3",
    redis: true,
    separateWorker: true,
    ownServers: true,
    skipDbStorage: mode,
    env,
  });
  const { runUrl, ingestUrl, adminToken, servers } = constellation;
  const withToken: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${adminToken}`);
    return next(request);
  };
  const to = (baseUrl: string) => createGrpcTransport({ baseUrl, interceptors: [withToken] });
  return {
    constellation,
    runs: createClient(RunService, to(runUrl)),
    attestations: createClient(AttestationService, to(ingestUrl)),
    query: async <T extends pg.QueryResultRow>(text: string) => {
      // The server may have been killed since the last one, so none is kept.
      const client = new pg.Client({ connectionString: servers.ingestDatabase });
      await client.connect();
      try {
        return (await client.query<T>(text)).rows;
      } finally {
        await client.end();
      }
    },
    stop: () => constellation.stop(),
  };
}
