import { randomUUID } from "node:crypto";
import { AttestationService, UploadService } from "@attestry/api/ingest";
import { digestOf } from "@attestry/bundle";
import { createTestDatabase } from "@attestry/dev-env";
import {
  createInProcessTransport,
  createLogger,
  createMetrics,
  Keyring,
  type Role,
  readSettings,
  reasonOf,
  type ServiceName,
} from "@attestry/service-kit";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import pg from "pg";
import { createAttestationIngest, migrateDatabase, type ServiceConfig, serviceSettings } from "../src/index.ts";
import { FakeGateway } from "./fake-gateway.ts";
import { FakeRun } from "./fake-run.ts";

export interface TestIngest {
  organizationId: string;
  run: FakeRun;
  gateway: FakeGateway;
  /** As a client with the role ci. */
  attestations: Client<typeof AttestationService>;
  /** As an admin. */
  uploads: Client<typeof UploadService>;
  /** A transport of someone else; the token has an id of its own unless one is given. */
  as(role: Role, organizationId?: string, tokenId?: string): Promise<Transport>;
  /** A transport of another service. */
  asService(service: ServiceName): Transport;
  /** Straight to the database. */
  database: pg.Pool;
  /** All that it holds, to be compared. */
  snapshot(): Promise<unknown>;
  /** Another replica over the same database and the same peers. */
  replica(config?: Partial<ServiceConfig>): Promise<TestIngest>;
  metric(name: string, labels?: Record<string, string>): Promise<number>;
  start(): Promise<void>;
  /** Ends this replica alone. */
  stop(): Promise<void>;
  /** Ends all replicas, and drops the database. */
  destroy(): Promise<void>;
}

/** Nothing runs in the background until start(); then it runs fast. */
const quick: Partial<ServiceConfig> = {
  reconcileMs: 50,
  reconcileAfterMs: 0,
  uploadLeaseMs: 900,
  backendProbeMs: 300,
  spoolGraceMs: 0,
  spoolPruneMs: 50,
};

/** A service over an empty database, with a workflow-run and a gateway in memory. */
export async function createTestIngest(config: Partial<ServiceConfig> = {}): Promise<TestIngest> {
  const testDatabase = await createTestDatabase();
  const logger = createLogger({ name: "attestation-ingest", level: "silent" });
  await migrateDatabase({ databaseUrl: testDatabase.url }, logger);
  const database = new pg.Pool({ connectionString: testDatabase.url, max: 4 });
  // The database may be dropped while connections are still closing, which it tells them.
  database.on("error", () => undefined);
  const keyrings = await Keyring.generate();
  const run = new FakeRun(keyrings["workflow-run"]);
  const gateway = new FakeGateway(keyrings["cas-gateway"]);
  const organizationId = randomUUID();
  const replicas: { destroy(): Promise<void> }[] = [];

  async function replica(more: Partial<ServiceConfig> = {}): Promise<TestIngest> {
    const metrics = createMetrics();
    const identity = { keyring: keyrings["attestation-ingest"] };
    const ingest = await createAttestationIngest(
      { ...readSettings(serviceSettings, {}), ...quick, ...config, ...more, databaseUrl: testDatabase.url },
      {
        ...identity,
        logger,
        metrics,
        run: createInProcessTransport(() => run.module(), { ...identity, to: "workflow-run" }),
        cas: hasty(createInProcessTransport(() => gateway.module(), { ...identity, to: "cas-gateway" })),
      },
    );
    replicas.push(ingest);
    const inProcess = createInProcessTransport(() => ingest, {
      keyring: keyrings["workflow-run"],
      to: "attestation-ingest",
    });
    async function as(role: Role, organization = organizationId, tokenId: string = randomUUID()): Promise<Transport> {
      const token = await keyrings["workflow-run"].issueApiToken({
        tokenId,
        organizationId: organization,
        organization: "acme",
        role,
        instanceAdmin: false,
      });
      return withToken(inProcess, token);
    }
    return {
      organizationId,
      run,
      gateway,
      attestations: createClient(AttestationService, await as("ci")),
      uploads: createClient(UploadService, await as("admin")),
      as,
      asService: (service) =>
        createInProcessTransport(() => ingest, { keyring: keyrings[service], to: "attestation-ingest" }),
      database,
      snapshot: () => snapshot(database),
      replica,
      async metric(name, labels = {}) {
        const found = (await metrics.getMetricsAsJSON()).find((metric) => metric.name === name);
        return (found?.values ?? [])
          .filter((value) => Object.entries(labels).every(([key, label]) => value.labels[key] === label))
          .reduce((sum, value) => sum + value.value, 0);
      },
      start: () => ingest.start(),
      stop: () => ingest.destroy(),
      async destroy() {
        await Promise.all(replicas.map((each) => each.destroy()));
        await database.end();
        await testDatabase.drop();
      },
    };
  }
  return replica();
}

function withToken(transport: Transport, token: string): Transport {
  function headers(given: HeadersInit | undefined): Headers {
    const all = new Headers(given);
    all.set("authorization", `Bearer ${token}`);
    return all;
  }
  return {
    unary: (method, signal, timeoutMs, header, ...rest) =>
      transport.unary(method, signal, timeoutMs, headers(header), ...rest),
    stream: (method, signal, timeoutMs, header, ...rest) =>
      transport.stream(method, signal, timeoutMs, headers(header), ...rest),
  };
}

/** Streams end within 2 s: in process, the timer of an aborted one lives on until its time-out and would hold up jest. */
function hasty(transport: Transport): Transport {
  return {
    unary: transport.unary.bind(transport),
    stream: (method, signal, timeoutMs, ...rest) =>
      transport.stream(method, signal, Math.min(timeoutMs ?? 2_000, 2_000), ...rest),
  };
}

async function snapshot(database: pg.Pool): Promise<unknown> {
  const tables = ["attestation", "attestation_subject", "attestation_material", "upload", "intent", "audit_event"];
  const results = await Promise.all(tables.map((table) => database.query(`select * from ${table} order by 1, 2, 3`)));
  return results.map((result) => result.rows);
}

/** An attestation of the given subjects as a bare DSSE envelope; `note` makes the bytes differ. */
export function bundleOf({
  note = randomUUID(),
  subjects = [{ name: "app", digest: { sha256: "a".repeat(64) } }] as object[],
  predicateType = "https://slsa.dev/provenance/v1",
  predicate = { note } as unknown,
  pad = 0,
} = {}): Buffer {
  const statement = { _type: "https://in-toto.io/Statement/v1", subject: subjects, predicateType, predicate };
  const payload = Buffer.from(JSON.stringify(statement)).toString("base64");
  const signatures = [{ keyid: "", sig: Buffer.from("not verified here").toString("base64") }];
  return Buffer.from(
    JSON.stringify({ payload, payloadType: "application/vnd.in-toto+json", signatures }) + " ".repeat(pad),
  );
}

export { digestOf };

/** Stores a bundle for a new run, as its attestation; returns the run. */
export async function storeOne(ingest: TestIngest, bundle = bundleOf()): Promise<string> {
  const runId = ingest.run.begin(ingest.organizationId);
  await ingest.attestations.store({ runId, bundle });
  return runId;
}

/** The row of the run's upload. */
export async function uploadOf(ingest: TestIngest, runId: string) {
  const { rows } = await ingest.database.query("select * from upload where run_id = $1", [runId]);
  return rows[0];
}

/** With another replica whose background work runs, until the work is done. */
export async function withWorker(ingest: TestIngest, work: (worker: TestIngest) => Promise<void>): Promise<void> {
  const worker = await ingest.replica();
  await worker.start();
  try {
    await work(worker);
  } finally {
    await worker.stop();
  }
}

/** The reason of the error that the promise rejects with; undefined if it resolves. */
export async function refusal(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    // That a caller may not do something is translated for peers, which are no callers: it is the cause then.
    const reason = reasonOf(error) ?? reasonOf(error instanceof Error ? error.cause : undefined);
    return reason ?? `no reason: ${String(error)}`;
  }
}

/** Waits until the check holds; fails after 10 s. */
export async function eventually(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + 10_000;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
