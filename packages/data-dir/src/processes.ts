import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const hasProc = existsSync("/proc/self/stat");

/** Whether a process with this id runs, whoever owns it. One that has ended and only waits for its parent does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return hasProc ? procStat(pid)?.[0] !== "Z" : !ps(pid, "stat=")?.startsWith("Z");
}

/** The command line of a process, words parted by spaces; undefined if it does not exist. */
export function commandLine(pid: number): string | undefined {
  return hasProc ? readProc(pid, "cmdline")?.replaceAll("\0", " ").trim() : ps(pid, "args=");
}

/**
 * When a process started, in a form only good for comparison; undefined if it does not exist.
 * Process ids are used again, so an id alone does not say that a process still lives.
 */
export function startTime(pid: number): string | undefined {
  return hasProc ? procStat(pid)?.[19] : ps(pid, "lstart=");
}

/**
 * Ids of the processes whose working folder this is, as PostgreSQL has its cluster's, by whatever path and in whatever
 * container they see it. None where there is no /proc, and not those that this user may not look at.
 */
export function processesIn(folder: string): number[] {
  if (!hasProc) return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => worksIn(pid, folder) === true);
}

/** Whether the working folder of a process is this one; undefined if the system does not tell. */
export function worksIn(pid: number, folder: string): boolean | undefined {
  try {
    const [of, asked] = [statSync(`/proc/${pid}/cwd`), statSync(folder)];
    return of.dev === asked.dev && of.ino === asked.ino;
  } catch {
    return undefined;
  }
}

/** Waits until a process is gone, at most `deadlineMs`; true if it went. */
export async function waitForExit(pid: number, deadlineMs: number): Promise<boolean> {
  const end = Date.now() + deadlineMs;
  while (isAlive(pid)) {
    if (Date.now() > end) return false;
    await sleep(25);
  }
  return true;
}

/** proc(5): the fields of stat from the third on; the second, in parentheses, may itself have spaces and parentheses. */
function procStat(pid: number): string[] | undefined {
  const stat = readProc(pid, "stat");
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}

function ps(pid: number, column: string): string | undefined {
  try {
    return execFileSync("ps", ["-ww", "-o", column, "-p", String(pid)], { encoding: "utf8" }).trim() || undefined;
  } catch {
    return undefined;
  }
}
