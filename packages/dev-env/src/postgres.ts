import path from "node:path";
import { type PostgresOptions, type PostgresServer, startPostgres } from "@attestry/standalone/postgres";

export type { PostgresServer };

/** For data that a test makes and forgets: faster, and lost if the machine dies; a killed server still recovers it. */
const forgetful = { fsync: "off", full_page_writes: "off", max_connections: "300" };

/**
 * Starts the PostgreSQL that comes with npm, on 127.0.0.1. Unless `durable`, it does not wait for the disk.
 * Give `port` to restart one where its clients expect it.
 */
export function startTestPostgres(options: {
  dir: string;
  port?: number;
  durable?: boolean;
  detached?: boolean;
}): Promise<PostgresServer> {
  const { durable = false, ...rest } = options;
  const settings: PostgresOptions["settings"] = durable ? { max_connections: "300" } : forgetful;
  return startPostgres({ ...rest, dir: path.resolve(options.dir), settings });
}
