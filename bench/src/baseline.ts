import { randomUUID } from "node:crypto";
import pg from "pg";

/** What a bare client of the same database does with the same bytes: the bound that a store or a read is held against. */
export interface Baseline {
  /** Returns the id to read by. */
  insert(bundle: Buffer): Promise<string>;
  select(id: string): Promise<unknown>;
  close(): Promise<void>;
}

/** Prepared statements over a pool of as many connections as there are calls in flight, on a table with a primary key and nothing else. */
export async function openBaseline(url: string, connections: number): Promise<Baseline> {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  await pool.query("create table if not exists bench_bundle (id uuid primary key, bundle bytea not null)");
  // As the attestations have it: no attempt to compress base64.
  await pool.query("alter table bench_bundle alter column bundle set storage external");

  async function insert(bundle: Buffer): Promise<string> {
    const id = randomUUID();
    await pool.query({
      name: "bench-insert",
      text: "insert into bench_bundle (id, bundle) values ($1, $2)",
      values: [id, bundle],
    });
    return id;
  }
  return {
    insert,
    select: (id) =>
      pool.query({ name: "bench-select", text: "select bundle from bench_bundle where id = $1", values: [id] }),
    close: async () => {
      await pool.query("truncate bench_bundle");
      await pool.end();
    },
  };
}
