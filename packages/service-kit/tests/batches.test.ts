import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { inBatches } from "../src/index.ts";

test("what comes while the lanes are taken leaves together, in batches that are not too large", async () => {
  const batches: number[][] = [];
  let running = 0;
  let most = 0;
  const square = inBatches(
    async (keys: readonly number[]) => {
      batches.push([...keys]);
      most = Math.max(most, ++running);
      await sleep(20);
      running--;
      return keys.map((key) => key * key);
    },
    { lanes: 2, maxBatch: 4 },
  );
  const first = square(0);
  await sleep(5);
  const rest = Array.from({ length: 20 }, (_, index) => square(index + 1));
  expect([await first, ...(await Promise.all(rest))]).toEqual(Array.from({ length: 21 }, (_, n) => n * n));
  expect(batches[0]).toEqual([0]);
  expect(most).toBe(2);
  expect(Math.max(...batches.map(({ length }) => length))).toBe(4);
  expect(batches).toHaveLength(6);
});

test("an Error fails its key, a throw fails its batch, and the lane is free again", async () => {
  let broken = false;
  const ask = inBatches(
    (keys: readonly string[]) =>
      broken
        ? Promise.reject(new Error("the database is away"))
        : Promise.resolve(keys.map((key) => (key === "bad" ? new Error("no such key") : key))),
    { lanes: 1, maxBatch: 10 },
  );
  expect(await Promise.allSettled([ask("a"), ask("bad"), ask("b")])).toMatchObject([
    { value: "a" },
    { reason: { message: "no such key" } },
    { value: "b" },
  ]);
  broken = true;
  await expect(ask("a")).rejects.toThrow("away");
  broken = false;
  expect(await ask("a")).toBe("a");
});
