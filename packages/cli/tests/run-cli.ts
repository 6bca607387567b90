import { spawn } from "node:child_process";
import path from "node:path";

const main = path.resolve(import.meta.dirname, "../src/main.ts");

export interface CliResult {
  code: number;
  stdout: string;
  /** The same as bytes. */
  stdoutBytes: Buffer;
  stderr: string;
  milliseconds: number;
}

export interface CliOptions {
  env?: Record<string, string>;
  stdin?: string | Uint8Array;
  cwd?: string;
  /** Sent to the command this long after its start, in milliseconds. */
  interruptAfterMs?: number;
  /** Interrupts the command as soon as this is true. */
  interruptWhen?: () => boolean;
  /** Kills the command, without a word to it, as soon as this is true. */
  killWhen?: () => boolean;
}

/** Runs the command as a process of its own, with nothing of this process's settings. */
export async function attestry(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return run(process.execPath, [main, ...args], options);
}

export async function run(program: string, args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const begin = performance.now();
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ATTESTRY_DATA_DIR: "/nonexistent", ...options.env },
  });
  child.stdin.on("error", () => undefined).end(options.stdin ?? "");
  if (options.interruptAfterMs !== undefined) setTimeout(() => child.kill("SIGINT"), options.interruptAfterMs);
  let interrupted = false;
  const watch = setInterval(() => {
    if (options.killWhen?.() === true) child.kill("SIGKILL");
    // A second one would end it at once.
    if (interrupted || options.interruptWhen?.() !== true) return;
    interrupted = true;
    child.kill("SIGINT");
  }, 10);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.on("error", reject);
  child.on("close", (code, signal) => resolve(code ?? (signal === null ? -1 : 128)));
  const code = await promise.finally(() => clearInterval(watch));
  const stdoutBytes = Buffer.concat(stdout);
  return {
    code,
    stdout: stdoutBytes.toString(),
    stdoutBytes,
    stderr: Buffer.concat(stderr).toString(),
    milliseconds: performance.now() - begin,
  };
}
