import { AttestationService } from "@attestry/api/ingest";
import { ContentAddressableStorage } from "@attestry/api/reapi";
import { BackendService, RunService } from "@attestry/api/run";
import { freePort } from "@attestry/dev-env";
import { type Constellation, type ConstellationOptions, startConstellation } from "@attestry/dev-env/constellation";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import pg from "pg";
import { type BlobInStore, blobsIn, blobsInFolder } from "./blobs-in-store.ts";
import { Mended } from "./mended.ts";

export type { BlobInStore } from "./blobs-in-store.ts";

export type SkipDatabase = "false" | "true" | "spool";

/** The database of which service. */
export type DatabaseName = "run" | "ingest";

/** The services as processes on servers of their own, all of which may be killed, and clients of them. */
export interface World {
  constellation: Constellation;
  runs: Client<typeof RunService>;
  attestations: Client<typeof AttestationService>;
  /** Of the gateway. */
  blobs: Client<typeof ContentAddressableStorage>;
  backends: Client<typeof BackendService>;
  /** What is in the store, by the hex digits of its digest. */
  stored(): Promise<Map<string, BlobInStore>>;
  /** The faults that were injected, in words. */
  faults: string[];
  /** The last lines that services logged as errors, which tell the cause of what only a bug answers. */
  errorLines: string[];
  /** What mended them, as far as is known. */
  mended: Mended;
  /** On the database of a service. */
  query<T extends pg.QueryResultRow>(text: string, database?: DatabaseName): Promise<T[]>;
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
  // A store that is paused for longer has let every request to it run out.
  CAS_STORE_TIMEOUT: "3s",
};

const keptErrorLines = 20;

export interface WorldOptions
  extends Partial<Pick<ConstellationOptions, "backend" | "dir" | "envOf" | "links" | "twoOfEach" | "under">> {
  /** How clients reach a service; plainly, if not given. */
  transport?: (baseUrl: string, token: string) => Transport;
  /** Where this process finds the folder of the filesystem backend, if the gateway has it on a volume of its own. */
  blobsFolder?: () => Promise<string>;
}

export async function startWorld(mode: SkipDatabase, options: WorldOptions = {}): Promise<World> {
  const { transport = plainTransport, blobsFolder, ...more } = options;
  const errorLines: string[] = [];
  const workerListen = `127.0.0.1:${await freePort()}`;
  const constellation = await startConstellation({
    shape: "processes",
    backend: "s3",
    redis: true,
    separateWorker: true,
    ownServers: true,
    postgresOfEach: true,
    listen: { "attestation-ingest-worker": workerListen },
    skipDbStorage: mode,
    env,
    onOutput: (_, text) => {
      errorLines.push(...text.split("\n").filter((line) => line.startsWith('{"level":"error"')));
      errorLines.splice(0, errorLines.length - keptErrorLines);
    },
    ...more,
  });
  const { runUrl, ingestUrl, casUrl, adminToken, servers } = constellation;
  const to = (baseUrl: string) => transport(baseUrl, adminToken);
  return {
    constellation,
    runs: createClient(RunService, to(runUrl)),
    attestations: createClient(AttestationService, to(ingestUrl)),
    blobs: createClient(ContentAddressableStorage, to(casUrl)),
    backends: createClient(BackendService, to(runUrl)),
    stored: async () => (blobsFolder === undefined ? blobsIn(constellation) : blobsInFolder(await blobsFolder())),
    faults: [],
    errorLines,
    mended: new Mended({
      "attestation-ingest": ingestUrl,
      "attestation-ingest-worker": `http://${workerListen}`,
    }),
    query: async <T extends pg.QueryResultRow>(text: string, database: DatabaseName = "ingest") => {
      // The server may have been killed since the last one, so none is kept.
      const client = new pg.Client({ connectionString: servers[`${database}Database`] });
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

export function plainTransport(baseUrl: string, token: string): Transport {
  const withToken: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  return createGrpcTransport({ baseUrl, interceptors: [withToken] });
}
