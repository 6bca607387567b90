import { rmSync } from "node:fs";
import path from "node:path";
import { commandLine, isAlive, readPostmasterFile, StartFailure, waitForExit } from "@attestry/data-dir";

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
