import type { Command } from "commander";
import { Caller } from "./client/caller.ts";
import { Services } from "./client/services.ts";
import { addNote, exitCodeOf, interrupted, timedOut } from "./errors.ts";
import { exitCodes } from "./exit-codes.ts";
import { type Cell, type Column, type Format, fieldsText, jsonText, tableText } from "./output/output.ts";
import { printable } from "./output/printable.ts";
import { clearProgress } from "./output/progress.ts";
import { write } from "./output/write.ts";
import { type Connections, connectionsOf, type GlobalOptions } from "./settings.ts";

const defaultTimeoutMs = 60_000;
/** For commands that move files. */
export const transferTimeoutMs = 15 * 60_000;
// What a command may still need once its time is over: to tell the server that it gave up.
const farewellMs = 10_000;
// How long the same refusal may repeat itself; who gives --timeout has said how long.
const stallMs = 60_000;

/** What a command works with: clients, the time it has, and where its answer goes. */
export class Context {
  readonly connections: Connections;
  readonly services: Services;
  readonly caller: Caller;
  readonly #format: Format;

  constructor(
    options: GlobalOptions & { output?: string },
    limits: { timeoutMs: number; stallMs: number; signal: AbortSignal },
  ) {
    this.connections = connectionsOf(options);
    this.services = new Services(this.connections);
    this.caller = new Caller({ ...limits, note: (text) => this.note(text) });
    this.#format = options.output === "json" ? "json" : "table";
  }

  /** Prints one thing: its JSON, or its fields on lines. */
  printObject(json: unknown, fields: Record<string, Cell>): Promise<void> {
    return write(process.stdout, this.#format === "json" ? jsonText(json) : fieldsText(fields));
  }

  /** Prints a list: its JSON (one object), or a table. */
  printList<T>(json: unknown, columns: readonly Column<T>[], items: readonly T[], none: string): Promise<void> {
    return write(process.stdout, this.#format === "json" ? jsonText(json) : tableText(columns, items, none));
  }

  /** Whether the answer is wanted as JSON. */
  get json(): boolean {
    return this.#format === "json";
  }

  /** Prints one line of an answer that has many; nothing if it comes as JSON at the end. */
  async printLine(text: string): Promise<void> {
    if (this.json) return;
    clearProgress();
    await write(process.stdout, `${printable(text)}\n`);
  }

  /** Prints the JSON of an answer whose lines were printed before; nothing if those are wanted. */
  async printJson(json: unknown): Promise<void> {
    if (this.json) await write(process.stdout, jsonText(json));
  }

  /** Says something beside the answer, on stderr. */
  note(text: string): Promise<void> {
    clearProgress();
    return write(process.stderr, `${text}\n`);
  }
}

/**
 * Runs the body of a command with a context made of its options, within its time, and closes all connections after
 * it. Ctrl-C ends the calls, so that the body can clean up; a second one ends the process.
 */
export async function withContext(
  command: Command,
  body: (context: Context) => Promise<void>,
  timeoutMs = defaultTimeoutMs,
): Promise<void> {
  const options = command.optsWithGlobals<GlobalOptions & { output?: string }>();
  const limit = options.timeout ?? timeoutMs;
  const interruption = new AbortController();
  const interrupt = () => interruption.abort(interrupted());
  process.once("SIGINT", interrupt);
  const context = new Context(options, {
    timeoutMs: limit,
    stallMs: options.timeout ?? stallMs,
    signal: interruption.signal,
  });
  // A call can stay unsettled for ever when its stream dies early (connectrpc/connect-es#1678): nobody waits that long.
  const overtime = Promise.withResolvers<never>();
  const timer = setTimeout(() => overtime.reject(timedOut()), limit + farewellMs);
  try {
    await Promise.race([body(context), overtime.promise]);
  } catch (error) {
    const { tokenFile } = context.connections;
    if (tokenFile !== undefined && exitCodeOf(error) === exitCodes.auth)
      addNote(error, `the token came from ${tokenFile}`);
    throw interruption.signal.aborted ? interruption.signal.reason : error;
  } finally {
    clearTimeout(timer);
    process.off("SIGINT", interrupt);
    context.services.close();
  }
}
