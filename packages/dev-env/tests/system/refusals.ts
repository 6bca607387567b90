import { ErrorInfoSchema, RetryInfoSchema } from "@attestry/api/errors";
import { Code, ConnectError } from "@connectrpc/connect";
import pg from "pg";
import type { Constellation } from "../../src/constellation/index.ts";

/** Both databases of a constellation, looked at behind the services' backs. */
export class Databases {
  readonly run: pg.Pool;
  readonly ingest: pg.Pool;

  constructor({ servers: { runDatabase, ingestDatabase } }: Constellation) {
    this.run = new pg.Pool({ connectionString: runDatabase, max: 1 });
    this.ingest = new pg.Pool({ connectionString: ingestDatabase, max: 1 });
  }

  async end(): Promise<void> {
    await Promise.all([this.run.end(), this.ingest.end()]);
  }

  /** Every row of both databases. */
  async everything(): Promise<string[]> {
    const all: string[] = [];
    for (const database of [this.run, this.ingest]) {
      const { rows: tables } = await database.query<{ name: string }>(
        "select table_name as name from information_schema.tables where table_schema = 'public' and table_name <> '_prisma_migrations' order by 1",
      );
      for (const { name } of tables) {
        // When a backend was validated changes by itself.
        const { rows } = await database.query<{ row: string }>(
          `select (to_jsonb(t) - '{validated_at,next_validation_at,status,validation_error}'::text[])::text as row from ${name} t order by 1`,
        );
        all.push(...rows.map(({ row }) => `${name} ${row}`));
      }
    }
    return all;
  }
}

/** An error as its caller sees it. */
export interface Refusal {
  code: string;
  reason: string | undefined;
  message: string;
  retry: boolean;
}

/** How a call is refused; code Unknown if it is not. */
export async function refusal(call: Promise<unknown>): Promise<Refusal> {
  const error = await call.then(
    () => new ConnectError("it was let through", Code.Unknown),
    (thrown: unknown) => ConnectError.from(thrown),
  );
  return {
    code: Code[error.code],
    reason: error.findDetails(ErrorInfoSchema)[0]?.reason,
    message: error.rawMessage,
    retry: error.findDetails(RetryInfoSchema).length > 0,
  };
}
