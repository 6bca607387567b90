import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const main = path.resolve(import.meta.dirname, "../src/main.ts");

/** A standalone server as a process of its own, as `npm start` runs it. */
export interface ServerProcess {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** The exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals | null>;
  signal(signal: NodeJS.Signals): void;
}

const running = new Set<ServerProcess>();

export function startProcess(dataDir: string, ...args: string[]): ServerProcess {
  const { ATTESTRY_LISTEN: _listen, ATTESTRY_DATA_DIR: _dataDir, ...env } = process.env;
  return startProcessWith(env, dataDir, ...args);
}

/** With this environment and nothing else. */
export function startProcessWith(env: NodeJS.ProcessEnv, dataDir: string, ...args: string[]): ServerProcess {
  const child = spawn(process.execPath, [main, "--data-dir", dataDir, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env,
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  const server: ServerProcess = {
    pid: child.pid ?? 0,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    exited: new Promise((resolve) => {
      child.once("close", (code, signal) => {
        running.delete(server);
        resolve(code ?? signal);
      });
    }),
    signal: (signal) => void child.kill(signal),
  };
  running.add(server);
  return server;
}

/** Waits for the line that says so, at most `deadlineMs`; returns the address in it. */
export async function untilReady(server: ServerProcess, deadlineMs: number): Promise<string> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const address = /Attestry is ready: (https?:\S+)/.exec(server.stdout())?.[1];
    if (address !== undefined) return address;
    if (!running.has(server) || Date.now() > end) {
      throw new Error(`not ready within ${deadlineMs} ms; it wrote:\n${server.stdout()}\n${server.stderr()}`);
    }
    await sleep(20);
  }
}

/** Ids of the PostgreSQL processes of a data directory. */
export function postgresOf(dataDir: string): number[] {
  return execFileSync("ps", ["-eww", "-o", "pid=,stat=,args="], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes("postgres") && line.includes(dataDir) && !/^\s*\d+\s+Z/.test(line))
    .map((line) => Number.parseInt(line, 10));
}

const folders: string[] = [];

export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "attestry-standalone-"));
  folders.push(folder);
  return folder;
}

/** Ends what the tests of a file started, also when they failed half-way. */
export async function cleanUp(): Promise<void> {
  const servers = [...running];
  for (const server of servers) server.signal("SIGKILL");
  await Promise.all(servers.map((server) => server.exited));
  for (const folder of folders.splice(0)) {
    for (const pid of postgresOf(folder)) process.kill(pid, "SIGKILL");
    await sleep(50);
    rmSync(folder, { recursive: true, force: true });
  }
}
