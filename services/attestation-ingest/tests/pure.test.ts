import { StorageMode, VerificationMode } from "@attestry/api/run";
import { DomainError, firstIdAt, inBatches, timeOfId, uuidv7 } from "@attestry/service-kit";
import { describe, expect, test } from "@jest/globals";
import { decideMode } from "../src/store/mode.ts";
import { BackendHealth } from "../src/uploads/backend-health.ts";
import { backoffMs } from "../src/uploads/backoff.ts";
import { ByteBudget } from "../src/uploads/byte-budget.ts";
import { verificationPlan } from "../src/verification/plan.ts";

describe("the mode of a Store", () => {
  const { UNSPECIFIED, DATABASE, CAS, SPOOL } = StorageMode;
  test.each([
    ["inline", "false", UNSPECIFIED, "database"],
    ["inline", "true", UNSPECIFIED, "database"],
    ["inline", "spool", UNSPECIFIED, "database"],
    ["inline", "false", CAS, "database"],
    ["inline", "false", SPOOL, "database"],
    ["external", "false", UNSPECIFIED, "database"],
    ["external", "true", UNSPECIFIED, "cas"],
    ["external", "spool", UNSPECIFIED, "spool"],
    ["external", "true", DATABASE, "database"],
    ["external", "false", CAS, "cas"],
    ["external", "true", SPOOL, "spool"],
    ["external", "spool", CAS, "cas"],
  ] as const)("%s backend, setting %s, override %d: %s", (backend, setting, override, mode) => {
    expect(decideMode(backend, setting, override)).toBe(mode);
  });
});

describe("the back-off", () => {
  test("doubles from 1 s up to 10 min, and keeps a random half", () => {
    const full = () => 1;
    expect([1, 2, 3, 10, 11, 500].map((failed) => backoffMs(failed, full))).toEqual([
      1_000, 2_000, 4_000, 512_000, 600_000, 600_000,
    ]);
    expect(backoffMs(1, () => 0)).toBe(500);
  });
});

describe("ids and times", () => {
  test("the time of an id bounds it", () => {
    const id = uuidv7();
    const time = timeOfId(id).getTime();
    expect(Math.abs(time - Date.now())).toBeLessThan(1_000);
    expect(firstIdAt(time) <= id).toBe(true);
    expect(firstIdAt(time + 1) > id).toBe(true);
  });
  test("a bound between two milliseconds is the later one's; times out of range are clamped", () => {
    expect(firstIdAt(1.5)).toBe(firstIdAt(2));
    expect(firstIdAt(-1)).toBe("00000000-0000-0000-0000-000000000000");
    expect(firstIdAt(1e20)).toBe("ffffffff-ffff-0000-0000-000000000000");
  });
});

describe("batches", () => {
  test("what comes while a batch is under way gathers in the next one", async () => {
    const batches: number[][] = [];
    const double = inBatches<number, number>(
      async (keys) => {
        batches.push([...keys]);
        await new Promise((resolve) => setTimeout(resolve, 20));
        return keys.map((key) => key * 2);
      },
      { lanes: 1, maxBatch: 100 },
    );
    const first = double(1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await Promise.all([first, double(2), double(3)])).toEqual([2, 4, 6]);
    expect(batches).toEqual([[1], [2, 3]]);
  });

  test("a batch that fails, fails its own keys only", async () => {
    const run = inBatches<number, number>(
      async (keys) => {
        if (keys.includes(1)) throw new Error("no");
        return keys;
      },
      { lanes: 1, maxBatch: 1 },
    );
    const results = await Promise.allSettled([run(1), run(2)]);
    expect(results.map((result) => result.status)).toEqual(["rejected", "fulfilled"]);
  });
});

test("a probe whose bytes cannot be read had its turn: the backend is not asked for again at once", async () => {
  const health = new BackendHealth({
    perBackend: 4,
    perSecond: 100,
    probeMs: 40,
    probesAtOnce: 1,
    onRecovered: () => undefined,
  });
  const upload = { backendId: "b", attempts: 0 };
  const read = async () => "bytes";
  const fail = async () => {
    throw new DomainError("BACKEND_UNAVAILABLE", "away");
  };
  for (let n = 0; n < 3; n++) await health.run(upload, read, fail).catch(() => undefined);
  expect(health.room().rooms).toEqual([{ backendId: "b", room: 0, probe: false, underWay: 0 }]);
  await new Promise((resolve) => setTimeout(resolve, 80));
  expect(health.room().rooms).toEqual([{ backendId: "b", room: 1, probe: true, underWay: 0 }]);
  const unreadable = () => Promise.reject(new DomainError("BUNDLE_MISSING", "gone"));
  await health.run(upload, unreadable, async () => undefined).catch(() => undefined);
  expect(health.room().rooms).toEqual([{ backendId: "b", room: 0, probe: false, underWay: 0 }]);
  await new Promise((resolve) => setTimeout(resolve, 80));
  await health.run(upload, read, async () => undefined);
  expect(health.room().rooms).toEqual([]);
});

test("that a probe was one call too many says nothing of the backend: it stays broken, and nothing is made due", async () => {
  const recovered: string[] = [];
  const health = new BackendHealth({
    ...{ perBackend: 4, perSecond: 100, probeMs: 20, probesAtOnce: 1 },
    onRecovered: (backendId) => recovered.push(backendId),
  });
  const upload = { backendId: "b", attempts: 1 };
  const read = async () => "bytes";
  const throwing = (reason: "BACKEND_UNAVAILABLE" | "RATE_LIMITED") => async () => {
    throw new DomainError(reason, "no");
  };
  for (let n = 0; n < 3; n++) await health.run(upload, read, throwing("BACKEND_UNAVAILABLE")).catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(health.room().rooms).toMatchObject([{ probe: true }]);
  await expect(health.run(upload, read, throwing("RATE_LIMITED"))).rejects.toThrow("no");
  expect(health.room().rooms).toMatchObject([{ room: 0, probe: false }]);
  expect(recovered).toEqual([]);
  await new Promise((resolve) => setTimeout(resolve, 60));
  await health.run(upload, read, async () => undefined);
  expect(recovered).toEqual(["b"]);
});

test("probes that hang take some of the places and no more", async () => {
  const health = new BackendHealth({
    ...{ perBackend: 4, perSecond: 100, probeMs: 1, probesAtOnce: 2, onRecovered: () => undefined },
  });
  const backends = ["a", "b", "c"].map((backendId) => ({ backendId, attempts: 0 }));
  const read = async () => "bytes";
  const fail = async () => {
    throw new DomainError("BACKEND_UNAVAILABLE", "away");
  };
  for (const upload of backends) {
    for (let n = 0; n < 3; n++) await health.run(upload, read, fail).catch(() => undefined);
  }
  await new Promise((resolve) => setTimeout(resolve, 40));
  const mayProbe = () => health.room().rooms.filter(({ probe }) => probe).length;
  expect(mayProbe()).toBe(3);
  const hang = Promise.withResolvers<void>();
  const hanging = backends.slice(0, 2).map((upload) => health.run(upload, read, () => hang.promise));
  expect(mayProbe()).toBe(0);
  hang.resolve();
  await Promise.all(hanging);
  expect(mayProbe()).toBe(1);
});

test("bytes in memory are bounded, and given out in order", async () => {
  const budget = new ByteBudget(10);
  const order: string[] = [];
  await budget.take(6);
  const large = budget.take(8).then(() => order.push("large"));
  const small = budget.take(1).then(() => order.push("small"));
  await new Promise((resolve) => setImmediate(resolve));
  expect(order).toEqual([]);
  budget.give(6);
  await Promise.all([large, small]);
  expect(order).toEqual(["large", "small"]);
});

describe("how a signature is to be verified", () => {
  test("is what the plan says; of an older workflow-run, which says nothing, the signature", () => {
    const of = (verificationMode: VerificationMode, trustRevision = 0) =>
      verificationPlan({ verificationMode, trustRevision });
    expect(of(VerificationMode.OFF, 3)).toEqual({ mode: "off" });
    expect(of(VerificationMode.SIGNATURE, 3)).toEqual({ mode: "signature" });
    expect(of(VerificationMode.UNSPECIFIED)).toEqual({ mode: "signature" });
    expect(of(VerificationMode.TRUSTED, 3)).toEqual({ mode: "trusted", trustRevision: 3 });
    expect(() => of(VerificationMode.TRUSTED)).toThrow("without a trust revision");
    expect(() => of(99 as VerificationMode)).toThrow("verification mode 99");
  });
});
