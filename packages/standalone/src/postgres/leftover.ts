import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { StartFailure } from "../start-failure.ts";
import { commandLine, isAlive, waitForExit } from "./processes.ts";

/** How long a server may take for its last checkpoint, in milliseconds. */
export const fastShutdownMs = 60_000;

/**
 * Stops the PostgreSQL of a data directory whose parent was killed. The caller holds the lock of the directory around
 * it, so nobody else can be using that server. Throws StartFailure if it does not end.
 */
export async function stopLeftover(clusterDir: string): Promise<void> {
  const file = path.join(clusterDir, "postmaster.pid");
  const pid = readPostmasterFile(file)?.pid;
  if (pid === undefined || !isAlive(pid)) return;

  const command = commandLine(pid) ?? "";
  if (!command.includes("postgres")) {
    // The id went to another process, say after a restart of the container; PostgreSQL would take that for a server.
    rmSync(file, { force: true });
    return;
  }
  // Another cluster's, or this one under another path: PostgreSQL itself knows, and refuses the second case.
  if (!command.includes(clusterDir)) return;

  process.kill(pid, "SIGINT");
  if (await waitForExit(pid, fastShutdownMs)) return;
  process.kill(pid, "SIGQUIT");
  if (await waitForExit(pid, 5_000)) return;
  throw new StartFailure("POSTGRES_CANNOT_START", `the PostgreSQL of ${clusterDir} (process ${pid}) does not stop`);
}

export interface PostmasterFile {
  pid: number;
  /** `starting`, `stopping`, `ready` or `standby`; empty before the first. */
  status: string;
}

/** Reads postmaster.pid (its lines: src/include/utils/pidfile.h of PostgreSQL); undefined if there is none. */
export function readPostmasterFile(file: string): PostmasterFile | undefined {
  try {
    const lines = readFileSync(file, "utf8").split("\n");
    const pid = Number.parseInt(lines[0] ?? "", 10);
    return Number.isSafeInteger(pid) && pid > 0 ? { pid, status: (lines[7] ?? "").trim() } : undefined;
  } catch {
    return undefined;
  }
}
