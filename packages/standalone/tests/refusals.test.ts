import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import {
  cleanUp,
  postgresOf,
  type ServerProcess,
  startProcess,
  startProcessWith,
  temporaryFolder,
  untilReady,
} from "./server-process.ts";

afterAll(cleanUp);

const anyPort = ["--listen", "127.0.0.1:0"] as const;

/** It must end by itself with a failure, one line that matches, and nothing else. */
function expectRefusal(dataDir: string, args: readonly string[], line: RegExp): Promise<void> {
  return expectFailure(startProcess(dataDir, ...args), dataDir, line);
}

async function expectFailure(server: ServerProcess, dataDir: string, line: RegExp): Promise<void> {
  expect(await server.exited).toBe(1);
  expect(server.stderr()).toMatch(line);
  expect(server.stderr().trimEnd().split("\n")).toHaveLength(1);
  expect(server.stdout()).toBe("");
  expect(postgresOf(dataDir)).toEqual([]);
}

test("a port in use", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as { port: number };
  try {
    const dataDir = path.join(temporaryFolder(), "data");
    await expectRefusal(dataDir, ["--listen", `127.0.0.1:${port}`], new RegExp(`127\\.0\\.0\\.1:${port} is in use`));
    expect(existsSync(dataDir)).toBe(false);
  } finally {
    other.close();
  }
});

test("an address that is none", async () => {
  const dataDir = path.join(temporaryFolder(), "data");
  await expectRefusal(dataDir, ["--listen", "7700"], /must be HOST:PORT, such as 127\.0\.0\.1:7700; came "7700"/);
});

test("a log level that is none", async () => {
  const dataDir = path.join(temporaryFolder(), "data");
  const server = startProcessWith({ ...process.env, LOG_LEVEL: "loud" }, dataDir, ...anyPort);
  await expectFailure(server, dataDir, /LOG_LEVEL must be one of debug, .*; came "loud"/);
  expect(existsSync(dataDir)).toBe(false);
});

test("a flag that is none", async () => {
  const server = startProcess(path.join(temporaryFolder(), "data"), "--bogus");
  expect(await server.exited).toBe(2);
  expect(server.stderr()).toContain("unknown option '--bogus'");
});

test.each(["/proc/attestry", "/proc/attestry/deeper/data"])("a place where no folder can be made: %s", async (dir) => {
  await expectRefusal(
    dir,
    anyPort,
    /the data directory \/proc\/attestry.* cannot be used: no folder can be made there/,
  );
});

test("a data directory of a newer version", async () => {
  const dataDir = temporaryFolder();
  writeFileSync(path.join(dataDir, "version"), "999\n");
  await expectRefusal(dataDir, anyPort, /written by a newer Attestry \(its version is 999, this one reads 1\)/);
  expect(readdirSync(dataDir)).toEqual(["version"]);
});

test("a folder that holds something else", async () => {
  const dataDir = temporaryFolder();
  writeFileSync(path.join(dataDir, "letter.txt"), "Dear");
  await expectRefusal(dataDir, anyPort, /neither empty nor Attestry's: it has letter\.txt/);
  expect(readdirSync(dataDir)).toEqual(["letter.txt"]);
});

test("a file in place of the data directory", async () => {
  const dataDir = path.join(temporaryFolder(), "data");
  writeFileSync(dataDir, "");
  await expectRefusal(dataDir, anyPort, /cannot be used: it is no directory/);
});

test("a data directory that cannot be written", async () => {
  const folder = temporaryFolder();
  const dataDir = path.join(folder, "data");
  if (process.getuid?.() === 0) {
    // Permissions do not hold for root; a read-only mount does, where this process may mount at all.
    mkdirSync(dataDir);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "ro", "tmpfs", dataDir], { stdio: "ignore" });
    } catch {
      await expectRefusal("/proc/attestry", anyPort, /cannot be used/);
      return;
    }
    try {
      await expectRefusal(dataDir, anyPort, /cannot be used: its file system is read-only/);
    } finally {
      execFileSync("umount", [dataDir]);
    }
  } else {
    chmodSync(folder, 0o500);
    await expectRefusal(dataDir, anyPort, /cannot be used: no permission to write there/);
    chmodSync(folder, 0o700);
  }
});

const asRoot = process.getuid?.() === 0 ? test : test.skip;

asRoot("root where user namespaces are not to be had", async () => {
  const dataDir = path.join(temporaryFolder(), "data");
  const server = startProcessWith({ PATH: "" }, dataDir, ...anyPort);
  await expectFailure(server, dataDir, /PostgreSQL does not run as root.*start attestry as an ordinary user/);
});

test("a PostgreSQL that cannot start", async () => {
  const dataDir = path.join(temporaryFolder(), "data");
  const first = startProcess(dataDir, ...anyPort);
  await untilReady(first, 60_000);
  first.signal("SIGINT");
  await first.exited;
  writeFileSync(path.join(dataDir, "postgres/cluster/PG_VERSION"), "9\n");
  await expectRefusal(dataDir, anyPort, /PostgreSQL cannot start: .*incompatible.*postgres\.log/);
}, 120_000);

test("a data directory of a running server, which goes on undisturbed", async () => {
  const dataDir = path.join(temporaryFolder(), "data");
  const living = startProcess(dataDir, ...anyPort);
  const address = await untilReady(living, 60_000);

  const second = startProcess(dataDir, ...anyPort);
  expect(await second.exited).toBe(1);
  expect(second.stderr()).toMatch(new RegExp(`in use by a running Attestry \\(process ${living.pid}\\)`));
  expect((await fetch(`${address}/readyz`)).status).toBe(200);
  living.signal("SIGINT");
  expect(await living.exited).toBe(0);
}, 120_000);
