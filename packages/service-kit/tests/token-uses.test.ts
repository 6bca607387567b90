import { expect, test } from "@jest/globals";
import { createAuthenticator, type TokenUse, TokenUses } from "../src/index.ts";
import { adminClaims, adminToken, keyrings, logger } from "./fake-module.ts";

const hourMs = 3_600_000;

test("a call waits for no report; the end tells what is left", async () => {
  const told: TokenUse[][] = [];
  const uses = new TokenUses({ report: async (batch) => void told.push(batch), logger, everyMs: hourMs });
  const authenticator = createAuthenticator({ keyring: keyrings["workflow-run"], uses });
  for (let count = 0; count < 3; count++) await authenticator.authenticate(`Bearer ${adminToken}`);
  await authenticator.authenticate("Bearer a.b.c").catch(() => undefined);
  await authenticator.authenticate(`Bearer ${await keyrings["cas-gateway"].serviceToken("workflow-run")}`);
  expect(told).toEqual([]);
  await Promise.all([uses.destroy(), uses.destroy()]);
  expect(told).toEqual([[{ tokenId: adminClaims.tokenId, agoMs: expect.any(Number) }]]);
});

test("what could not be told is told later, with its age", async () => {
  const told: TokenUse[] = [];
  let attempts = 0;
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const uses = new TokenUses({
    everyMs: 20,
    logger,
    report: async (batch) => {
      if (++attempts < 3) throw new Error("away");
      told.push(...batch);
      resolve();
    },
  });
  uses.record("t1");
  uses.start();
  await done;
  await uses.destroy();
  expect(told.map(({ tokenId }) => tokenId)).toEqual(["t1"]);
  // Two pauses of at least 16 ms went by.
  expect(told[0]?.agoMs).toBeGreaterThan(30);
});

test("what is used during a report is told again", async () => {
  const told: string[][] = [];
  const uses: TokenUses = new TokenUses({
    everyMs: hourMs,
    logger,
    report: async (batch) => {
      told.push(batch.map(({ tokenId }) => tokenId));
      if (told.length === 1) uses.record("again");
    },
  });
  for (const id of ["once", "again"]) uses.record(id);
  uses.start();
  await uses.destroy();
  expect(told).toEqual([["again", "once"], ["again"]]);
});

test("memory and reports are bounded: of 12,000 tokens the newest 10,000 are told, 1,000 a call", async () => {
  const sizes: number[] = [];
  const ids = new Set<string>();
  const report = async (batch: TokenUse[]) => {
    sizes.push(batch.length);
    for (const { tokenId } of batch) ids.add(tokenId);
  };
  const uses = new TokenUses({ report, logger, everyMs: hourMs });
  for (let index = 0; index < 12_000; index++) uses.record(`t${index}`);
  await uses.destroy();
  expect(sizes).toEqual(Array.from({ length: 10 }, () => 1_000));
  expect(ids.has("t1999")).toBe(false);
  expect(ids.has("t2000")).toBe(true);
});

test("the end does not wait for a report that hangs", async () => {
  const uses = new TokenUses({ report: () => new Promise(() => undefined), logger, everyMs: hourMs });
  uses.record("t1");
  const began = performance.now();
  await uses.destroy();
  expect(performance.now() - began).toBeLessThan(20_000);
});
