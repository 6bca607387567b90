import { readFileSync } from "node:fs";

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
