import { ErrorInfoSchema, RetryInfoSchema } from "@attestry/api/errors";
import { BundleError } from "@attestry/bundle";
import { BlobError } from "@attestry/cas-client";
import { Code, ConnectError } from "@connectrpc/connect";
import { exitCodes } from "./exit-codes.ts";
import { hintOf } from "./hints.ts";
import { printable } from "./output/printable.ts";
import type { CommandReason } from "./own-reasons.ts";

/** The command line was wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What the command itself found, without a server: a stable reason and the exit code to end with. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly reason: CommandReason;
  readonly exitCode: number;
  /** False where the message says it all, though the reason has a hint. */
  readonly hinted: boolean;

  constructor(
    reason: CommandReason,
    message: string,
    options: { exitCode?: number; cause?: unknown; hint?: "by reason" | "none" } = {},
  ) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.exitCode = options.exitCode ?? exitCodes.refused;
    this.hinted = options.hint !== "none";
  }
}

/** Somebody ended the command. */
export function interrupted(): CommandError {
  return new CommandError("INTERRUPTED", "interrupted", { exitCode: exitCodes.interrupted });
}

/** The time of the command is over. */
export function timedOut(): CommandError {
  return new CommandError("TIMED_OUT", "not done in the time given", { exitCode: exitCodes.unavailable });
}

// Of what a person typed: the server found wrong usage that the command had let pass.
const argumentReasons = new Set([
  "RUN_ID_INVALID",
  "NAME_INVALID",
  "SECRET_REF_INVALID",
  "PREFIX_INVALID",
  "PROVIDER_INVALID",
  "MAX_BYTES_INVALID",
  "ROLE_INVALID",
  "ISSUER_INVALID",
  "LIFETIME_INVALID",
  "RETENTION_INVALID",
  "PAGE_TOKEN_INVALID",
  "FILE_NAME_INVALID",
]);

/** The reason in an error's ErrorInfo, or the one that the command gave it; undefined if it has none. */
export function reasonOf(error: unknown): string | undefined {
  if (error instanceof ConnectError) return error.findDetails(ErrorInfoSchema)[0]?.reason;
  if (error instanceof CommandError) return error.reason;
  return error instanceof BlobError || error instanceof BundleError ? error.code : undefined;
}

/** When the server asks to try again, in milliseconds; undefined if it does not ask. */
export function retryDelayOf(error: unknown): number | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay && Number(delay.seconds) * 1000 + delay.nanos / 1_000_000;
}

/** True when a connection failed, as against an answer of the server: those have a reason. */
export function isConnectionFailure(error: unknown): boolean {
  return (
    error instanceof ConnectError &&
    (error.code === Code.Unavailable || error.code === Code.Aborted) &&
    reasonOf(error) === undefined
  );
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return exitCodes.usage;
  if (error instanceof CommandError) return error.exitCode;
  if (error instanceof BlobError) return error.code === "BLOB_CORRUPT" ? exitCodes.corrupt : exitCodes.refused;
  if (!(error instanceof ConnectError)) return exitCodes.refused;
  switch (error.code) {
    case Code.InvalidArgument:
      return argumentReasons.has(reasonOf(error) ?? "") ? exitCodes.usage : exitCodes.refused;
    case Code.NotFound:
      return exitCodes.notFound;
    case Code.Unauthenticated:
    case Code.PermissionDenied:
      return exitCodes.auth;
    case Code.Unavailable:
    case Code.DeadlineExceeded:
    case Code.Aborted:
      return exitCodes.unavailable;
    case Code.ResourceExhausted:
      return retryDelayOf(error) === undefined ? exitCodes.refused : exitCodes.unavailable;
    case Code.DataLoss:
      return exitCodes.corrupt;
    default:
      return exitCodes.refused;
  }
}

/** What goes to stderr: one line with the message and its reason, and a line that says what to do about it, if known. */
export function describeError(error: unknown): string {
  const reason = reasonOf(error);
  const message =
    error instanceof ConnectError ? error.rawMessage : error instanceof Error ? error.message : String(error);
  const line = `error: ${printable(message) || "failed without a message"}${reason === undefined ? "" : ` (${printable(reason)})`}\n`;
  const hint = hintFor(error, message);
  const note = notes.get(error as object);
  return line + (hint === undefined ? "" : `hint: ${hint}\n`) + (note === undefined ? "" : `(${note})\n`);
}

function hintFor(error: unknown, message: string): string | undefined {
  if ((error instanceof CommandError && !error.hinted) || unhinted.has(error as object)) return undefined;
  const reason = reasonOf(error);
  if (reason !== undefined) return hintOf(reason, message);
  if (isConnectionFailure(error)) return hintOf("CONNECTION_FAILED", message);
  return error instanceof ConnectError && error.code === Code.DeadlineExceeded
    ? hintOf("TIMED_OUT", message)
    : undefined;
}

const unhinted = new WeakSet<object>();

/** Has describeError give no hint, where the one of the reason would mislead. */
export function leaveOutHint(error: unknown): void {
  if (error instanceof Error) unhinted.add(error);
}

const notes = new WeakMap<object, string>();

/** Has describeError add what the error itself cannot know. */
export function addNote(error: unknown, note: string): void {
  if (error instanceof Error) notes.set(error, note);
}
