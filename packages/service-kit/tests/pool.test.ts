import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createTestDatabase, type TestDatabase } from "../../dev-env/src/test-servers.ts";
import { connectErrorOf, reasonOf } from "../src/index.ts";
import { createPool } from "../src/postgres/index.ts";
import { logger } from "./fake-module.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

test("connections that the server ends, idle or borrowed, end no process and no pool", async () => {
  const pool = createPool({ url: database.url, applicationName: "doomed", logger, max: 2 });
  const other = createPool({ url: database.url, applicationName: "other", logger });
  const borrowed = await pool.connect();
  await pool.query("select 1");
  await other.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'doomed'");
  const lost = await borrowed.query("select 1").catch((error: unknown) => error);
  expect(reasonOf(connectErrorOf(lost))).toBe("DATABASE_UNAVAILABLE");
  borrowed.release(true);
  await sleep(100);
  expect((await pool.query("select 2 as n")).rows).toEqual([{ n: 2 }]);
  await pool.end();
  await other.end();
});

test("a server that is away is DATABASE_UNAVAILABLE, by number and by name", async () => {
  for (const host of ["127.0.0.1", "localhost"]) {
    const pool = createPool({ url: `postgres://a:b@${host}:1/x`, applicationName: "away", logger });
    const error = await pool.query("select 1").catch((cause: unknown) => cause);
    expect(reasonOf(connectErrorOf(error))).toBe("DATABASE_UNAVAILABLE");
    await pool.end();
  }
});
