/** What may be taken away from a constellation and brought back: a service, or a server that it stands on. */
export interface Replaceable<T extends Process = Process> {
  readonly current: T;
  /** SIGKILL, as a crash would. */
  kill(): Promise<void>;
  /** SIGQUIT, by which PostgreSQL shuts down at once: no checkpoint, its log is replayed at the next start. */
  quit(): Promise<void>;
  /** In order, if it still runs. */
  stop(): Promise<void>;
  /** Again at the same address with the same data; ends the one that runs first. */
  restart(): Promise<void>;
  /** SIGSTOP: its connections stay, and nothing answers. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
}

interface Process {
  readonly pid: number;
  readonly exited: Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/** `start` is called again at each restart, with what it returned before. */
export async function replaceable<T extends Process>(start: (before?: T) => Promise<T>): Promise<Replaceable<T>> {
  let current = await start();
  let ended = false;
  const signal = (name: NodeJS.Signals) => {
    if (!ended) process.kill(current.pid, name);
  };
  const end = async (how: "stop" | "kill" | "quit") => {
    if (ended) return;
    signal("SIGCONT");
    if (how === "quit") {
      signal("SIGQUIT");
      await current.exited;
    } else await current[how]();
    ended = true;
  };
  return {
    get current() {
      return current;
    },
    kill: () => end("kill"),
    quit: () => end("quit"),
    stop: () => end("stop"),
    async restart() {
      await end("stop");
      current = await start(current);
      ended = false;
    },
    pause: () => signal("SIGSTOP"),
    resume: () => signal("SIGCONT"),
  };
}
