import { expect, test } from "@jest/globals";
import { databaseFault } from "../src/errors/database-fault.ts";
import {
  decodePageToken,
  encodePageToken,
  firstIdAt,
  isUuid,
  pageSize,
  parseListen,
  parseUuid,
  readSettings,
  reasonOf,
  setting,
  timeOfId,
  uuidv7,
} from "../src/index.ts";

test("settings: each kind reads its form, and errors name the variable", () => {
  const settings = {
    count: setting.integer({ env: "COUNT", default: 1, doc: "How many", min: 1, max: 9 }),
    wait: setting.milliseconds({ env: "WAIT", default: 5, doc: "How long" }),
    on: setting.flag({ env: "ON", default: false, doc: "Whether" }),
    mode: setting.oneOf(["a", "b"], { env: "MODE", default: "a", doc: "Which" }),
    peer: setting.address({ env: "PEER", default: "http://a:1", doc: "Where" }),
    listen: setting.listen({ env: "LISTEN", default: "127.0.0.1:0", doc: "Where" }),
    maybe: setting.optionalText({ env: "MAYBE", doc: "Something" }),
  };
  const defaults = readSettings(settings, {});
  expect(defaults).toMatchObject({ count: 1, wait: 5, on: false, mode: "a", maybe: undefined });
  const env = { COUNT: "7", WAIT: "2m", ON: "true", MODE: "b", PEER: "http://run:7701/", LISTEN: "[::1]:80" };
  expect(readSettings(settings, env)).toMatchObject({
    ...{ count: 7, wait: 120_000, on: true, mode: "b", peer: "http://run:7701" },
    listen: { host: "::1", port: 80 },
  });
  const bad = { COUNT: "0x5", WAIT: "soon", ON: "yes", MODE: "c", PEER: "run:7701", LISTEN: "80" };
  for (const [name, value] of Object.entries(bad)) {
    expect(() => readSettings(settings, { [name]: value })).toThrow(new RegExp(`^${name} must be `));
  }
  expect(() => readSettings(settings, { COUNT: " " })).toThrow("COUNT");
  expect(() => parseListen("a:70000")).toThrow("HOST:PORT");
});

test("an error of a secret setting holds it nowhere", () => {
  const settings = { url: setting.address({ env: "URL", doc: "Where", secret: true }) };
  let error: unknown;
  try {
    readSettings(settings, { URL: "hunter2" });
  } catch (thrown) {
    error = thrown;
  }
  expect((error as Error).message).toContain("URL must be");
  expect((error as Error).message).not.toContain("hunter2");
  expect((error as Error).cause).toBeUndefined();
});

function reason(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

test("paging: a cursor is good for its own list only", () => {
  const id = uuidv7();
  const scope = { kind: "runs", filters: { state: "success", workflow: undefined } };
  expect(decodePageToken(encodePageToken(scope, id), { kind: "runs", filters: { state: "success" } })).toBe(id);
  expect(decodePageToken("", scope)).toBeUndefined();
  for (const token of ["garbage", "%%%", Buffer.from("1.x.y.z").toString("base64url"), "a".repeat(5_000)]) {
    expect(reason(() => decodePageToken(token, scope))).toBe("PAGE_TOKEN_INVALID");
  }
  const other = encodePageToken({ kind: "runs", filters: { state: "error" } }, id);
  expect(reason(() => decodePageToken(other, scope))).toBe("PAGE_TOKEN_INVALID");
  expect([0, 1, 200].map(pageSize)).toEqual([50, 1, 200]);
  for (const size of [-1, 201, 1.5]) expect(reason(() => pageSize(size))).toBe("PAGE_SIZE_INVALID");
});

test("ids sort by their making, and are read in any case", () => {
  const ids = Array.from({ length: 100 }, uuidv7);
  expect([...ids].sort()).toEqual(ids);
  expect(ids.every(isUuid)).toBe(true);
  const [id = ""] = ids;
  expect(parseUuid(id.toUpperCase(), "RUN_ID_INVALID", "run_id")).toBe(id);
  expect(reason(() => parseUuid("", "RUN_ID_INVALID", "run_id"))).toBe("RUN_ID_INVALID");
});

test("times and ids bound each other to the millisecond", () => {
  const time = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  expect(timeOfId(firstIdAt(time)).getTime()).toBe(time);
  expect(firstIdAt(time - 0.5)).toBe(firstIdAt(time));
  expect(firstIdAt(-1)).toBe(firstIdAt(0));
  expect(firstIdAt(Number.MAX_SAFE_INTEGER)).toBe("ffffffff-ffff-0000-0000-000000000000");
});

function withCode(code: string, more: object = {}): Error {
  return Object.assign(new Error(code), { code, ...more });
}

/** As Prisma's driver adapters throw it: the cause is no error. */
function driverFault(originalCode: string): Error {
  return new Error("DriverAdapterError", { cause: { kind: "postgres", originalCode } });
}

test.each([
  ["statement timeout", withCode("57014"), true],
  ["shutdown", withCode("57P01"), true],
  ["too many clients", withCode("53300"), true],
  ["deadlock", withCode("40P01"), true],
  ["Prisma out of reach", withCode("P1001"), true],
  ["refused", withCode("ECONNREFUSED", { syscall: "connect" }), true],
  ["no route", withCode("EHOSTUNREACH", { syscall: "connect" }), true],
  ["refused at each address", Object.assign(new AggregateError([]), { code: "ECONNREFUSED" }), true],
  ["as a cause", new Error("outer", { cause: withCode("57P03") }), true],
  ["lost", new Error("Connection terminated unexpectedly"), true],
  ["written to after the server's end", withCode("EPIPE"), true],
  ["ended in the TLS handshake", withCode("ECONNRESET", { host: "db" }), true],
  ["written to after its own end", withCode("ERR_STREAM_DESTROYED"), true],
  ["not connected in time", new Error("timeout expired"), true],
  ["closed", new Error("Client was closed and is not queryable"), true],
  ["idle in a transaction", withCode("25P03"), true],
  ["Prisma: too many connections", withCode("P2037"), true],
  ["Prisma: a driver's fault", withCode("P2010", { meta: { driverAdapterError: driverFault("57P01") } }), true],
  ["a driver's fault", driverFault("53300"), true],
  ["a driver's fault that stays", driverFault("23505"), false],
  ["unique", withCode("23505"), false],
  ["syntax", withCode("42601"), false],
  ["no error", "text", false],
])("database fault: %s", (_, error, passes) => {
  expect(databaseFault(error)?.code).toBe(passes ? "DATABASE_UNAVAILABLE" : undefined);
});
