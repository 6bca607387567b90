import { BackupFailure, StartFailure } from "@attestry/data-dir";
import { type Command, Option } from "commander";
import { CommandError, interrupted, timedOut } from "./errors.ts";
import { exitCodes } from "./exit-codes.ts";
import { type Progress, startProgress } from "./output/progress.ts";
import type { GlobalOptions } from "./settings.ts";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** The data directory of `npm start`, by the same words. */
export function addDataDirOption(command: Command): Command {
  return command.addOption(
    new Option("--data-dir <folder>", "data directory of the standalone server")
      .env("ATTESTRY_DATA_DIR")
      .default("./.attestry"),
  );
}

/**
 * Does work with the files of a server on this machine. A signal that ends processes, or the end of --timeout (no limit
 * unless given), ends it so that it can clean up; a second signal ends the process.
 */
export async function withoutServer<T>(command: Command, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ending = new AbortController();
  const interrupt = () => ending.abort(interrupted());
  for (const signal of signals) process.once(signal, interrupt);
  const { timeout } = command.optsWithGlobals<GlobalOptions>();
  const timer = timeout === undefined ? undefined : setTimeout(() => ending.abort(timedOut()), timeout);
  try {
    return await work(ending.signal);
  } catch (error) {
    throw ending.signal.aborted && !isFailure(error) ? ending.signal.reason : inTermsOfCommand(error);
  } finally {
    clearTimeout(timer);
    for (const signal of signals) process.off(signal, interrupt);
  }
}

export interface CopyProgress {
  onTotal: (bytes: number) => void;
  onBytes: (bytes: number) => void;
  stop: () => void;
}

/** A bar that learns what there is to do once the work has looked. */
export function copyProgress(): CopyProgress {
  let progress: Progress | undefined;
  let done = 0;
  return {
    onTotal(bytes) {
      progress = startProgress("copying", bytes);
    },
    onBytes(bytes) {
      done += bytes;
      progress?.update(done);
    },
    stop: () => progress?.stop(),
  };
}

function isFailure(error: unknown): error is BackupFailure | StartFailure {
  return error instanceof BackupFailure || error instanceof StartFailure;
}

function inTermsOfCommand(error: unknown): unknown {
  if (!isFailure(error)) return error;
  const exitCode = error.code === "BACKUP_CORRUPT" ? exitCodes.corrupt : exitCodes.refused;
  return new CommandError(error.code, error.message, { exitCode, cause: error });
}
