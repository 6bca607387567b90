import path from "node:path";
import { commonSettings, readSettings, SettingError, setting } from "@attestry/service-kit";
import { expectFree, openDataDir, StartFailure, tour } from "@attestry/standalone";
import { type Constellation, startConstellation } from "./constellation/index.ts";
import { ensureDefaultBackend } from "./default-backend.ts";
import { LogFiles } from "./log-files.ts";
import { findProgram, howToGet, type OptionalServer } from "./programs.ts";

const dataDirectory = ".attestry-dev";

const settings = {
  run: setting.listen({ env: "WORKFLOW_RUN_LISTEN", default: "127.0.0.1:7701", doc: "Where workflow-run serves" }),
  ingest: setting.listen({
    env: "ATTESTATION_INGEST_LISTEN",
    default: "127.0.0.1:7702",
    doc: "Where attestation-ingest serves",
  }),
  cas: setting.listen({ env: "CAS_GATEWAY_LISTEN", default: "127.0.0.1:7703", doc: "Where cas-gateway serves" }),
  logLevel: commonSettings.logLevel,
};

/** The distributed shape on one machine, until `asked` resolves. Throws when a part of it cannot start or ends. */
export async function runDev(asked: Promise<void>): Promise<void> {
  await using started = new AsyncDisposableStack();
  const { run, ingest, cas, logLevel } = readSettings(settings);
  await expectFree(run, settings.run.env);
  await expectFree(ingest, settings.ingest.env);
  await expectFree(cas, settings.cas.env);
  const dataDir = await openDataDir(dataDirectory);
  started.defer(() => dataDir.release());

  const missing = (["redis", "minio"] as const).filter((server) => findProgram(server) === undefined);
  const backend = missing.includes("minio") ? "filesystem" : "s3";
  const logs = new LogFiles(path.join(dataDir.path, "logs"));
  started.defer(() => logs.close());
  const constellation = await startConstellation({
    shape: "processes",
    backend,
    redis: !missing.includes("redis"),
    dir: dataDir.path,
    ownServers: true,
    detached: true,
    listen: {
      "workflow-run": `${run.host}:${run.port}`,
      "attestation-ingest": `${ingest.host}:${ingest.port}`,
      "cas-gateway": `${cas.host}:${cas.port}`,
    },
    env: { ...(process.env as Record<string, string>), LOG_LEVEL: logLevel },
    onOutput: (name, text) => logs.write(name, text),
  });
  started.defer(() => constellation.stop());
  if ((await dataDir.readAdminToken()) === undefined) await dataDir.writeAdminToken(constellation.adminToken);
  const defaultBackend = await ensureDefaultBackend(constellation, backend);
  process.stdout.write(welcome({ constellation, missing, defaultBackend, adminTokenFile: dataDir.adminTokenFile }));

  const ended = await Promise.race([constellation.partEnded, asked]);
  if (ended !== undefined) throw new Error(`${ended} has ended; see ${logs.dir}`);
}

/** What the developer can mend is one line; anything else is a bug, and its stack helps. */
export function report(error: unknown): void {
  const expected = error instanceof StartFailure || error instanceof SettingError;
  process.stderr.write(`attestry dev: ${expected ? error.message : ((error as Error).stack ?? String(error))}\n`);
}

interface Welcome {
  constellation: Constellation;
  missing: readonly OptionalServer[];
  defaultBackend: string;
  adminTokenFile: string;
}

function welcome({ constellation, missing, defaultBackend, adminTokenFile }: Welcome): string {
  const { runUrl, ingestUrl, casUrl, servers } = constellation;
  const parts = {
    "workflow-run": runUrl,
    "attestation-ingest": ingestUrl,
    "cas-gateway": casUrl,
    PostgreSQL: postgresAt(servers.runDatabase, servers.ingestDatabase),
    ...(servers.redis && { Redis: servers.redis }),
    ...(servers.minio && {
      MinIO: `${servers.minio.endpoint} (${servers.minio.accessKey} / ${servers.minio.secretKey})`,
    }),
    "Default backend": defaultBackend,
    Logs: path.join(dataDirectory, "logs"),
  };
  const without = { redis: "runs without the second-level cache", minio: "stores in a folder" };
  return [
    "",
    "  Attestry is ready, each service in a process of its own:",
    "",
    ...Object.entries(parts).map(([name, where]) => `    ${name.padEnd(20)}${where}`),
    "",
    ...missing.flatMap((server) => [
      `  No ${server} here, so it ${without[server]}. To get it: ${howToGet(server)}`,
      "",
    ]),
    ...tour({ ATTESTRY_ADDR: ingestUrl, ATTESTRY_RUN_ADDR: runUrl, ATTESTRY_CAS_ADDR: casUrl }, adminTokenFile),
    "  Ctrl-C stops all of it; what was stored stays.",
    "",
    "",
  ].join("\n");
}

/** Where it is, without its password, which stays in its file. */
function postgresAt(runDatabase: string, ingestDatabase: string): string {
  const { host, username: user } = new URL(runDatabase);
  const names = [runDatabase, ingestDatabase].map((url) => new URL(url).pathname.slice(1));
  const passwordFile = path.join(dataDirectory, "postgres/password");
  return `${host}, databases ${names.join(" and ")} (user ${user}, password in ${passwordFile})`;
}
