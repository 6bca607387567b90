import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, open, readFile, realpath, rename, stat } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readPostmasterFile, StartFailure } from "@attestry/data-dir";
import pg from "pg";
import { findPostgresBinaries, type PostgresBinaries } from "./binaries.ts";
import { environment, initialiseCluster } from "./cluster.ts";
import { freePort } from "./free-port.ts";
import { fastShutdownMs, stopLeftover } from "./leftover.ts";

const user = "attestry";
const readyMs = 60_000;
const retryMs = 10_000;
const maxLogBytes = 10 * 1024 * 1024;

export interface PostgresOptions {
  /** Absolute folder of everything that belongs to it: cluster, password, log. Made if absent. */
  dir: string;
  /** TCP port on 127.0.0.1; a free one if not given. */
  port?: number;
  /** Settings of postgresql.conf, over those set here. */
  settings?: Readonly<Record<string, string>>;
  /** Out of the terminal's process group, so that Ctrl-C reaches only its parent, which stops it in turn. */
  detached?: boolean;
}

export interface PostgresServer {
  readonly port: number;
  readonly pid: number;
  readonly logFile: string;
  /** Resolves when it has ended, for whatever reason. */
  readonly exited: Promise<void>;
  url(database: string): string;
  /** Creates the database if there is none of that name; returns its URL. */
  ensureDatabase(database: string): Promise<string>;
  /** Ends its sessions, writes a checkpoint and stops. Safe to call twice. */
  stop(): Promise<void>;
  /** As a crash would: SIGKILL, nothing written. */
  kill(): Promise<void>;
}

const defaultSettings: Readonly<Record<string, string>> = {
  listen_addresses: "127.0.0.1",
  // No socket: its path would have to be shorter than 108 bytes, which a data directory need not be.
  unix_socket_directories: "",
  max_connections: "120",
  shared_buffers: "128MB",
  max_wal_size: "2GB",
  jit: "off",
  TimeZone: "UTC",
  log_timezone: "UTC",
  log_min_messages: "warning",
  log_checkpoints: "off",
  log_line_prefix: "%m [%p] ",
};

/**
 * Starts the embedded PostgreSQL on a folder, initialising it the first time, and stops what a killed parent left
 * running there. Only this user's processes reach it: loopback, and a random password in a file of mode 0600.
 * Throws StartFailure with one line that says why not.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const binaries = await findPostgresBinaries();
  await mkdir(options.dir, { recursive: true, mode: 0o700 });
  // One name for one folder: a server that was left running is known by it.
  const dir = await realpath(options.dir);
  const clusterDir = path.join(dir, "cluster");
  const logFile = path.join(dir, "postgres.log");
  await stopLeftover(clusterDir);
  const password = await initialiseCluster(binaries, { dir, clusterDir, user });
  await rotate(logFile);

  const giveUpAt = Date.now() + retryMs;
  for (;;) {
    const port = options.port ?? (await freePort());
    const logStart = await sizeOf(logFile);
    const child = await spawnPostgres(binaries, { ...options, port }, clusterDir, logFile);
    try {
      return await whenReady(child, { port, clusterDir, logFile, logStart, password });
    } catch (error) {
      if (!passes(error) || Date.now() > giveUpAt) throw error;
      await sleep(100);
    }
  }
}

/**
 * Whether the next try may do better: sessions of a postmaster that was killed end a moment after it, and a free port
 * may be taken between the look and the start.
 */
function passes(error: unknown): boolean {
  const { message } = error as Error;
  return (
    message.includes("pre-existing shared memory block") || message.includes("could not create any TCP/IP sockets")
  );
}

async function spawnPostgres(
  binaries: PostgresBinaries,
  options: PostgresOptions & { port: number },
  clusterDir: string,
  logFile: string,
): Promise<ChildProcess> {
  const settings = { ...defaultSettings, port: String(options.port), ...options.settings };
  const args = ["-D", clusterDir, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])];
  const [program, ...rest] = [...binaries.wrapper, binaries.postgres, ...args] as [string, ...string[]];
  // A file rather than a pipe: a server that outlives its parent can still write its log.
  const log = await open(logFile, "a", 0o600);
  try {
    return spawn(program, rest, {
      stdio: ["ignore", log.fd, log.fd],
      detached: options.detached ?? false,
      env: environment(),
    });
  } finally {
    await log.close();
  }
}

interface Started {
  port: number;
  clusterDir: string;
  logFile: string;
  /** Size of the log before this start, in bytes. */
  logStart: number;
  password: string;
}

async function whenReady(
  child: ChildProcess,
  { port, clusterDir, logFile, logStart, password }: Started,
): Promise<PostgresServer> {
  let ended = false;
  const exited = new Promise<void>((resolve) => {
    const end = () => {
      ended = true;
      process.off("exit", interrupt);
      resolve();
    };
    child.once("exit", end).once("error", end);
  });
  const interrupt = () => child.kill("SIGINT");
  process.on("exit", interrupt);

  const stop = async () => {
    if (!ended) child.kill("SIGINT");
    const timer = setTimeout(() => child.kill("SIGQUIT"), fastShutdownMs);
    await exited;
    clearTimeout(timer);
  };
  const kill = async () => {
    if (!ended) child.kill("SIGKILL");
    await exited;
  };

  const deadline = Date.now() + readyMs;
  const isReady = () => {
    const file = readPostmasterFile(path.join(clusterDir, "postmaster.pid"));
    return file?.pid === child.pid && file?.status === "ready";
  };
  while (!isReady()) {
    if (ended || Date.now() > deadline) {
      await kill();
      const why = ended ? await lastError(logFile, logStart, child.pid) : `not ready within ${readyMs / 1000} s`;
      throw new StartFailure("POSTGRES_CANNOT_START", `PostgreSQL cannot start: ${why} (its log: ${logFile})`);
    }
    await sleep(20);
  }

  const url = (database: string) => `postgresql://${user}:${password}@127.0.0.1:${port}/${database}`;
  const ensureDatabase = async (database: string) => {
    await createDatabase(url("postgres"), database);
    return url(database);
  };
  return { port, pid: child.pid ?? 0, logFile, exited, url, ensureDatabase, stop, kill };
}

async function createDatabase(adminUrl: string, database: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query("select 1 from pg_database where datname = $1", [database]);
    if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(database)}`);
  } finally {
    await client.end();
  }
}

/** The last error in the log since this start: of the postmaster if there is one, else of the processes around it. */
async function lastError(logFile: string, from: number, pid: number | undefined): Promise<string> {
  const log = (await readFile(logFile)).subarray(from).toString("utf8").trim().split("\n");
  const errors = log.filter((line) => /FATAL|PANIC|ERROR/.test(line));
  const line = errors.findLast((text) => text.includes(`[${pid}]`)) ?? errors.at(-1) ?? log.at(-1) ?? "";
  return line.replace(/^.*?(FATAL|PANIC|ERROR): +/, "") || "it ended without a word";
}

async function rotate(logFile: string): Promise<void> {
  if ((await sizeOf(logFile)) > maxLogBytes) await rename(logFile, `${logFile}.1`);
}

/** In bytes; 0 if there is no such file. */
function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}
