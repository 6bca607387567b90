import { spawn } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { takeLock } from "../src/lock-file.ts";
import { startTime } from "../src/processes.ts";
import { cleanUp, temporaryFolder } from "./temporary-folder.ts";

afterAll(cleanUp);

test("a lock is had once, and again after its release", async () => {
  const folder = temporaryFolder();
  const file = path.join(folder, "lock");
  const lock = await takeLock(file);
  expect(await takeLock(file)).toEqual({ heldBy: process.pid });
  if ("release" in lock) await lock.release();
  expect(readdirSync(folder)).toEqual([]);
});

test("a dead process's lock is taken over", async () => {
  const file = path.join(temporaryFolder(), "lock");
  const child = spawn(process.execPath, ["-e", ""]);
  await new Promise((resolve) => child.once("exit", resolve));
  writeFileSync(file, JSON.stringify({ pid: child.pid, started: "1" }));
  const lock = await takeLock(file);
  expect(lock).toHaveProperty("release");
  if ("release" in lock) await lock.release();
});

test("a lock whose process id was given to another process is taken over", async () => {
  const file = path.join(temporaryFolder(), "lock");
  writeFileSync(file, JSON.stringify({ pid: process.pid, started: `not ${startTime(process.pid)}` }));
  const lock = await takeLock(file);
  expect(lock).toHaveProperty("release");
  if ("release" in lock) await lock.release();
});

test("a lock file with no sense in it, as a full disk leaves it, is taken over", async () => {
  const file = path.join(temporaryFolder(), "lock");
  writeFileSync(file, "");
  const lock = await takeLock(file);
  expect(lock).toHaveProperty("release");
  if ("release" in lock) await lock.release();
});
