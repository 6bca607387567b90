import { createContextValues, type HandlerContext } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { createTestDatabase, type TestDatabase } from "../../dev-env/src/test-servers.ts";
import { type AuditEntry, AuditLog, listAuditEvents, parseAuditEntries } from "../src/audit/index.ts";
import { principalKey } from "../src/auth/principal.ts";
import { encodePageToken, reasonOf, uuidv7 } from "../src/index.ts";

let database: TestDatabase;
let pool: pg.Pool;
let log: AuditLog;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 4 });
  await pool.query(`create table audit_event (
    number bigint generated always as identity primary key, organization_id uuid not null,
    at timestamptz(3) not null default now(), actor text not null, action text not null, resource text not null,
    detail jsonb not null default '{}')`);
  log = new AuditLog(pool);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

function entry(index: number, action = "thing.change"): AuditEntry {
  return { actor: "token ci (1)", action, resource: `thing ${index}`, detail: { 'a"b': `{${index}}`, empty: "" } };
}

function callOf(organizationId: string): HandlerContext {
  const values = createContextValues();
  const role = "admin";
  values.set(principalKey, {
    ...{ kind: "api", tokenId: "t", organizationId, organization: "o", role, instanceAdmin: false },
  });
  return { values } as HandlerContext;
}

async function readAll(organizationId: string, ask: { action?: string; pageSize: number }) {
  const found = [];
  let pageToken = "";
  do {
    const request = { action: "", ...ask, pageToken };
    const page = await listAuditEvents(log, request, callOf(organizationId));
    found.push(...page.events);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return found;
}

test("events come back as they were recorded, newest first, page by page, for their own organization", async () => {
  const [mine, other] = [uuidv7(), uuidv7()];
  const entries = Array.from({ length: 23 }, (_, index) => entry(index, index % 3 === 0 ? "thing.delete" : undefined));
  await log.record(mine, entries);
  await log.record(other, [entry(100)]);
  await log.record(mine, []);
  for (const pageSize of [1, 5, 23, 200]) {
    const found = await readAll(mine, { pageSize });
    expect(found).toMatchObject(entries.toReversed());
    const numbers = found.map(({ number }) => Number(number));
    expect(numbers).toEqual(numbers.toSorted((a, b) => b - a));
  }
  const deletions = await readAll(mine, { pageSize: 3, action: "thing.delete" });
  expect(deletions.map(({ resource }) => resource)).toEqual([21, 18, 15, 12, 9, 6, 3, 0].map((n) => `thing ${n}`));
  expect(await readAll(uuidv7(), { pageSize: 3 })).toEqual([]);
});

test("on the connection of a transaction, events are there exactly if it commits", async () => {
  const organizationId = uuidv7();
  const client = await pool.connect();
  await client.query("begin");
  await new AuditLog(client).record(organizationId, [entry(1)]);
  expect(await readAll(organizationId, { pageSize: 5 })).toEqual([]);
  await client.query("rollback");
  expect(await readAll(organizationId, { pageSize: 5 })).toEqual([]);
  await client.query("begin");
  await new AuditLog(client).record(organizationId, [entry(2)]);
  await client.query("commit");
  client.release();
  expect(await readAll(organizationId, { pageSize: 5 })).toMatchObject([entry(2)]);
});

test("a cursor that is none of this list is refused, whatever it holds", async () => {
  const organizationId = uuidv7();
  const scope = { kind: "audit events", filters: { organizationId, action: undefined } };
  for (const pageToken of ["x", encodePageToken(scope, uuidv7()), encodePageToken(scope, "1".repeat(30))]) {
    const request = { action: "", pageSize: 0, pageToken };
    const refused = await listAuditEvents(log, request, callOf(organizationId)).catch((error: unknown) => error);
    expect(reasonOf(refused)).toBe("PAGE_TOKEN_INVALID");
  }
});

test("what a request brings is bounded", () => {
  const most = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`n${index}`, "x".repeat(1_024)]));
  const fine = { ...entry(1), actor: "x".repeat(1_024), detail: most };
  expect(parseAuditEntries(Array.from({ length: 200 }, () => fine))).toHaveLength(200);
  const refused = [
    [],
    Array.from({ length: 201 }, () => fine),
    [{ ...fine, actor: "" }],
    [{ ...fine, action: "x".repeat(1_025) }],
    [{ ...fine, resource: "a\0b" }],
    [{ ...fine, detail: { ...most, more: "1" } }],
    [{ ...fine, detail: { "": "1" } }],
    [{ ...fine, detail: { a: "\0" } }],
    [{ ...fine, detail: { a: "x".repeat(1_025) } }],
  ];
  for (const entries of refused) expect(reasonOfThrown(() => parseAuditEntries(entries))).toBe("REQUEST_INVALID");
});

function reasonOfThrown(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return reasonOf(error);
  }
}
