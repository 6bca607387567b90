import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, expect, test } from "@jest/globals";
import { backUpOf, type Place, smallDataDir } from "./small-data-dir.ts";
import { cleanUp, temporaryFolder } from "./temporary-folder.ts";

const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});
afterAll(cleanUp);

/** A process that looks like one of PostgreSQL's, unless it is called otherwise. */
function postgres(cwd: string, seconds: number, argv0 = "postgres: checkpointer"): ChildProcess {
  const child = spawn("sleep", [String(seconds)], { argv0, cwd });
  children.push(child);
  return child;
}

function clusterOf({ dataDir }: Place): string {
  return path.join(dataDir, "postgres/cluster");
}

function nameAsPostmaster(place: Place, pid: number | undefined): void {
  writeFileSync(path.join(clusterOf(place), "postmaster.pid"), `${pid}\n`);
}

test("a postmaster that runs is refused at once, and named", async () => {
  const place = smallDataDir();
  const { pid } = postgres(clusterOf(place), 60);
  nameAsPostmaster(place, pid);
  const begin = performance.now();
  await expect(backUpOf(place)).rejects.toMatchObject({
    code: "POSTGRES_RUNNING",
    message: expect.stringContaining(`(process ${pid})`),
  });
  expect(performance.now() - begin).toBeLessThan(5_000);
});

test("the id of a former postmaster may be another process's by now", async () => {
  const place = smallDataDir();
  nameAsPostmaster(place, postgres(clusterOf(place), 60, "vi").pid);
  await backUpOf(place);
});

const withProc = existsSync("/proc/self/cwd") ? test : test.skip;

withProc("so may it be that of another cluster's postmaster", async () => {
  const place = smallDataDir();
  nameAsPostmaster(place, postgres(temporaryFolder(), 60).pid);
  await backUpOf(place);
});

withProc("sessions of a postmaster that was killed are waited for", async () => {
  const place = smallDataDir();
  const session = postgres(clusterOf(place), 2);
  await backUpOf(place);
  expect(session.exitCode).toBe(0);
});
