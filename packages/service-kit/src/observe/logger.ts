import { type Logger, pino } from "pino";
import { loggedError } from "./logged-error.ts";

export type { Logger } from "pino";

export interface LoggerOptions {
  name: string;
  level: string;
}

/**
 * Structured logs to standard output, one JSON object a line. Written synchronously: a transport in a worker thread
 * would lose the last lines of a process that dies, the ones that matter.
 */
export function createLogger({ name, level }: LoggerOptions): Logger {
  return pino({
    name,
    level,
    base: { name },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: (error: unknown) => loggedError(error) },
  });
}
