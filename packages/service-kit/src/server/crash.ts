import { loggedError } from "../observe/logged-error.ts";

/**
 * An error that nobody caught ends the process with exit code 1, as it does by itself; but of the error only what may be
 * logged is written. Node would print each of its properties.
 */
export function reportCrashes(name: string): void {
  process.on("uncaughtException", (error) => {
    process.stderr.write(`${name} crashed: ${JSON.stringify(loggedError(error))}\n`);
    process.exit(1);
  });
}
