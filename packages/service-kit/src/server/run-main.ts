import { reportCrashes } from "./crash.ts";

/**
 * The main function of a program. What ends it before it serves, such as a missing setting or a database that is
 * away, is one line on standard error and exit code 1; with LOG_LEVEL=debug, the stack too.
 */
export async function runMain(name: string, main: () => Promise<void>): Promise<void> {
  reportCrashes(name);
  try {
    await main();
  } catch (error) {
    process.stderr.write(`${name}: ${messageOf(error)}\n`);
    if (process.env.LOG_LEVEL === "debug" && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    // What was opened by then, connections and timers, would keep a process alive that cannot serve.
    process.exit(1);
  }
}

function messageOf(error: unknown): string {
  // Node's error for a host with several addresses has no message of its own.
  if (error instanceof AggregateError) return error.message || error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}
