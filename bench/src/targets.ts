import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { BackendProvider } from "@attestry/api/run";
import { answersOk, findProgram, freePort, nodeFlags, spawnServer } from "@attestry/dev-env";
import { startConstellation } from "@attestry/dev-env/constellation";

/** A running Attestry, with what a bench needs to know of it. */
export interface Target {
  name: "standalone" | "processes";
  runUrl: string;
  ingestUrl: string;
  adminToken: string;
  /** The database that ingest stores in: the bare baseline uses the same server. */
  databaseUrl: string;
  /** The backend of the modes that need an external one. */
  external: { provider: BackendProvider; secretRef: string };
  /** Starts what holds caches anew, with its data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startTarget(name: Target["name"]): Promise<Target> {
  return name === "standalone" ? startStandalone() : startProcesses();
}

const filesystem = { provider: BackendProvider.FILESYSTEM, secretRef: "_shared/local" };
const s3 = { provider: BackendProvider.S3, secretRef: "_shared/minio" };

/** `npm start`, in a process of its own and a fresh data directory. */
async function startStandalone(): Promise<Target> {
  const dir = await mkdtemp(path.join(os.tmpdir(), "attestry-bench-"));
  const listen = `127.0.0.1:${await freePort()}`;
  const url = `http://${listen}`;
  const main = path.join(import.meta.dirname, "../../packages/standalone/src/main.ts");
  const spawn = () =>
    spawnServer({
      name: "standalone",
      command: process.execPath,
      args: [...nodeFlags, main, "--listen", listen, "--data-dir", dir],
      isReady: () => answersOk(`${url}/readyz`),
    });
  let server = await spawn();

  async function databaseUrl(): Promise<string> {
    const password = (await readFile(path.join(dir, "postgres/password"), "utf8")).trim();
    // postmaster.pid has the port in its fourth line.
    const port = (await readFile(path.join(dir, "postgres/cluster/postmaster.pid"), "utf8")).split("\n")[3];
    return `postgresql://attestry:${password}@127.0.0.1:${port}/attestation_ingest`;
  }
  const target: Target = {
    name: "standalone",
    runUrl: url,
    ingestUrl: url,
    adminToken: (await readFile(path.join(dir, "admin-token"), "utf8")).trim(),
    databaseUrl: await databaseUrl(),
    external: filesystem,
    restart: async () => {
      await server.stop();
      server = await spawn();
      target.databaseUrl = await databaseUrl();
    },
    stop: async () => {
      await server.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return target;
}

/** The three services in processes of their own, with PostgreSQL, and Redis and MinIO if the machine has them. */
async function startProcesses(): Promise<Target> {
  const minio = findProgram("minio") !== undefined;
  const constellation = await startConstellation({
    shape: "processes",
    backend: minio ? "s3" : "filesystem",
    redis: findProgram("redis") !== undefined,
    ownServers: true,
    env: { LOG_LEVEL: "warn" },
  });
  const { runUrl, ingestUrl, adminToken } = constellation;
  return {
    name: "processes",
    runUrl,
    ingestUrl,
    adminToken,
    databaseUrl: constellation.servers.ingestDatabase,
    external: minio ? s3 : filesystem,
    restart: async () => {
      await constellation.end("attestation-ingest");
      await constellation.restart("attestation-ingest");
    },
    stop: () => constellation.stop(),
  };
}
