import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readPostmasterFile } from "../postmaster-file.ts";
import { commandLine, isAlive, processesIn, worksIn } from "../processes.ts";
import { BackupFailure } from "./failure.ts";

/** How long the sessions of a postmaster that was killed may take to notice, in milliseconds. */
const sessionsMs = 10_000;

/**
 * Passes if no PostgreSQL uses the cluster: the lock of the data directory says nothing of one that outlived its
 * server. Throws BackupFailure POSTGRES_RUNNING.
 */
export async function expectStopped(clusterDir: string, signal: AbortSignal): Promise<void> {
  const postmaster = readPostmasterFile(path.join(clusterDir, "postmaster.pid"))?.pid;
  if (postmaster !== undefined && isAlive(postmaster) && isPostgres(postmaster)) {
    // After a restart of the machine the id may be that of another cluster's.
    if (worksIn(postmaster, clusterDir) !== false) throw running(clusterDir, postmaster);
  }
  const giveUpAt = Date.now() + sessionsMs;
  for (;;) {
    const session = processesIn(clusterDir).find(isPostgres);
    if (session === undefined) return;
    if (Date.now() > giveUpAt) throw running(clusterDir, session);
    await sleep(50, undefined, { signal });
  }
}

/** One of which the system tells nothing counts as one. */
function isPostgres(pid: number): boolean {
  return commandLine(pid)?.includes("postgres") ?? true;
}

function running(clusterDir: string, pid: number): BackupFailure {
  const message =
    `a PostgreSQL (process ${pid}) still uses ${clusterDir}, left by a server that was killed: ` +
    "start the server and stop it in order";
  return new BackupFailure("POSTGRES_RUNNING", message);
}
