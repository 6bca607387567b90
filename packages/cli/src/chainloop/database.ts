import pg from "pg";
import { CommandError, UsageError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";

const connectMs = 10_000;
/** Of one statement; the largest reads a few MiB or goes once through the table of runs. */
const statementMs = 5 * 60_000;

const pageRows = 500;

/** Where a row stands among all: the older one first. */
export interface Position {
  /** RFC 3339, to the microsecond. */
  createdAt: string;
  id: string;
}

/** The expression for `createdAt`. */
export function exactTime(column: string): string {
  return `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}

function clientOf(address: string): { url: URL; client: pg.Client } {
  try {
    const url = new URL(address);
    if (!["postgres:", "postgresql:"].includes(url.protocol)) throw new TypeError("no address of a PostgreSQL");
    const client = new pg.Client({
      connectionString: address,
      connectionTimeoutMillis: connectMs,
      query_timeout: statementMs,
      keepAlive: true,
      application_name: "attestry import",
    });
    return { url, client };
  } catch {
    // Without the address and the cause: they may hold a password.
    throw new UsageError("--database: expected postgres://USER@HOST[:PORT]/DATABASE");
  }
}

/** A connection to somebody else's PostgreSQL, which only reads. */
export class SourceDatabase {
  /** HOST:PORT/NAME, without who reads it. */
  readonly place: string;
  readonly #client: pg.Client;
  readonly #signal: AbortSignal;

  private constructor(place: string, client: pg.Client, signal: AbortSignal) {
    this.place = place;
    this.#client = client;
    this.#signal = signal;
  }

  /** Throws UsageError for an address that is none, SOURCE_UNAVAILABLE, SOURCE_REFUSED. */
  static async open(address: string, signal: AbortSignal): Promise<SourceDatabase> {
    const { url, client } = clientOf(address);
    // A connection that is lost between two statements would end the process; the next statement says it.
    client.on("error", () => undefined);
    const place = `${url.hostname || "localhost"}:${url.port || 5432}${url.pathname}`;
    const database = new SourceDatabase(place, client, signal);
    await database.#within(client.connect());
    await database.rows("set session characteristics as transaction read only");
    return database;
  }

  /** The rows of one statement. Throws SOURCE_UNAVAILABLE, SOURCE_REFUSED, and what the signal was aborted with. */
  async rows<T>(statement: string, values: unknown[] = []): Promise<T[]> {
    const { rows } = await this.#within(this.#client.query(statement, values));
    return rows as T[];
  }

  /**
   * The rows of a statement in pages, by when they were made and their ids.
   * @param statement without an order, from the condition that begins a page
   * @param columns names of those two columns
   */
  async *pages<T extends Position>(
    statement: (begin: string) => string,
    { values, columns, after }: { values: unknown[]; columns: string; after?: Position | undefined },
  ): AsyncGenerator<T[], void, void> {
    for (let last = after; ; ) {
      const place = `($${values.length + 1}::timestamptz, $${values.length + 2}::uuid)`;
      const begin = last === undefined ? "true" : `(${columns}) > ${place}`;
      const page = await this.rows<T>(
        `${statement(begin)} order by ${columns} limit ${pageRows}`,
        last === undefined ? values : [...values, last.createdAt, last.id],
      );
      if (page.length > 0) yield page;
      if (page.length < pageRows) return;
      last = page.at(-1);
    }
  }

  async close(): Promise<void> {
    await this.#client.end().catch(() => undefined);
  }

  async #within<T>(work: Promise<T>): Promise<T> {
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(this.#signal.reason);
    this.#signal.addEventListener("abort", onAbort, { once: true });
    try {
      this.#signal.throwIfAborted();
      return await Promise.race([work, aborted.promise]);
    } catch (error) {
      this.#signal.throwIfAborted();
      throw this.#fault(error);
    } finally {
      this.#signal.removeEventListener("abort", onAbort);
      work.catch(() => undefined);
    }
  }

  #fault(cause: unknown): CommandError {
    // A name with several addresses fails with one error for each, and no message of its own.
    const first = (cause instanceof AggregateError ? cause.errors[0] : cause) as Error;
    const place = `cannot read the database at ${this.place}`;
    if (first.message.includes("client password must be a string")) {
      return new CommandError("SOURCE_REFUSED", `${place}: it asks for a password, and there is none in PGPASSWORD`, {
        cause,
      });
    }
    const text = `${place}: ${first.message.split("\n", 1)[0] || "the connection failed"}`;
    // SQLSTATE, PostgreSQL appendix A: connections (08), resources (53) and operators (57) come and go.
    const isRefusal = first instanceof pg.DatabaseError && !/^(08|53|57)/.test(first.code ?? "");
    return isRefusal
      ? new CommandError("SOURCE_REFUSED", text, { cause })
      : new CommandError("SOURCE_UNAVAILABLE", text, { cause, exitCode: exitCodes.unavailable });
  }
}
