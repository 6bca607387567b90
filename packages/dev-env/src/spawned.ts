import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

export interface SpawnOptions {
  /** How messages name it. */
  name: string;
  command: string;
  args: readonly string[];
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** In a process group of its own, so that Ctrl-C in a terminal reaches only this process. */
  detached?: boolean | undefined;
  /** Asked every 25 ms until it answers true. */
  isReady: () => Promise<boolean>;
  /** How long it may take to be ready, in milliseconds. */
  readyMs?: number;
  /** How long it may take to stop before it is killed, in milliseconds. */
  stopMs?: number;
  /** Gets its output as it comes. */
  onOutput?: (text: string) => void;
}

/** A program started by us, which ends with this process at the latest. */
export interface Spawned {
  readonly pid: number;
  /** The last 64 KiB of what it wrote. */
  logs(): string;
  /** Resolves when it has ended, for whatever reason. */
  readonly exited: Promise<void>;
  /** SIGTERM, and SIGKILL if that does not end it in time. Safe to call twice. */
  stop(): Promise<void>;
  /** SIGKILL, as a crash would. */
  kill(): Promise<void>;
  /** Any other signal, such as SIGSTOP and SIGCONT. */
  signal(signal: NodeJS.Signals): void;
}

const keptLog = 64 * 1024;

/** One listener for all: Node warns of many. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts a program and waits until it is ready. Throws, with the end of its output, if it ends or is late. */
export async function spawnServer(options: SpawnOptions): Promise<Spawned> {
  const { name, command, args, isReady, readyMs = 30_000, stopMs = 15_000 } = options;
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: options.env ?? process.env,
    detached: options.detached ?? false,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const spawned = watch(child, stopMs, options.onOutput);

  let ended = false;
  void spawned.exited.then(() => {
    ended = true;
  });
  const deadline = Date.now() + readyMs;
  while (!(await isReady())) {
    if (ended || Date.now() > deadline) {
      await spawned.kill();
      const what = ended ? "ended before it was ready" : `was not ready within ${readyMs / 1000} s`;
      throw new Error(`${name} ${what}; it wrote:\n${spawned.logs()}`);
    }
    await sleep(25);
  }
  return spawned;
}

function watch(child: ChildProcess, stopMs: number, onOutput?: (text: string) => void): Spawned {
  let log = "";
  const keep = (text: string) => {
    log = (log + text).slice(-keptLog);
    onOutput?.(text);
  };
  child.stdout?.setEncoding("utf8").on("data", keep);
  child.stderr?.setEncoding("utf8").on("data", keep);

  const killNow = () => child.kill("SIGKILL");
  running.add(child);
  const exited = new Promise<void>((resolve) => {
    const end = () => {
      running.delete(child);
      resolve();
    };
    child.once("close", end).once("error", (error) => {
      keep(`${error.message}\n`);
      end();
    });
  });

  const stop = async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(killNow, stopMs);
    await exited;
    clearTimeout(timer);
  };
  const kill = async () => {
    killNow();
    await exited;
  };
  return { pid: child.pid ?? 0, logs: () => log, exited, stop, kill, signal: (signal) => void child.kill(signal) };
}

/** Whether an HTTP GET is answered with 200; false while nobody listens. */
export async function answersOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.status === 200;
  } catch {
    return false;
  }
}
