import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { backUp, restore, waitForExit } from "@attestry/data-dir";
import { afterAll, describe, expect, test } from "@jest/globals";
import {
  cleanUp,
  postgresOf,
  type ServerProcess,
  startProcess,
  temporaryFolder,
  untilReady,
} from "./server-process.ts";

afterAll(cleanUp);

const anyPort = ["--listen", "127.0.0.1:0"] as const;
const startMs = 60_000;
const quiet = { signal: new AbortController().signal, onTotal: () => undefined, onBytes: () => undefined };
const bundle = await readFile(path.resolve(import.meta.dirname, "../../../docs/sample/bundle.json"));

function backUpTo(target: string, dataDir: string) {
  return backUp({ ...quiet, dataDir, target, attestryVersion: "1.2.3" });
}

async function call(address: string, token: string, method: string, body: unknown): Promise<Record<string, unknown>> {
  const response = await fetch(`${address}/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  if (response.status !== 200) throw new Error(JSON.stringify(answer));
  return answer;
}

interface Kept {
  token: string;
  runId: string;
}

async function store(address: string, dataDir: string): Promise<Kept> {
  const token = readFileSync(path.join(dataDir, "admin-token"), "utf8").trim();
  const created = await call(address, token, "attestry.run.v1.RunService/Create", {
    project: "web",
    workflow: "build",
  });
  const runId = (created.run as { id: string }).id;
  await call(address, token, "attestry.ingest.v1.AttestationService/Store", {
    runId,
    bundle: bundle.toString("base64"),
  });
  return { token, runId };
}

async function expectKept(address: string, { token, runId }: Kept): Promise<void> {
  const got = await call(address, token, "attestry.ingest.v1.AttestationService/Get", { runId });
  expect(Buffer.from(got.bundle as string, "base64").equals(bundle)).toBe(true);
}

async function stop(server: ServerProcess): Promise<void> {
  server.signal("SIGTERM");
  expect(await server.exited).toBe(0);
}

describe("a real server", () => {
  test("is as it was after backup, loss and restore, and its storage is the copy's own", async () => {
    const folder = temporaryFolder();
    const dataDir = path.join(folder, "data");
    const target = path.join(folder, "backup");
    const server = startProcess(dataDir, ...anyPort);
    const address = await untilReady(server, startMs);
    const kept = await store(address, dataDir);
    await expect(backUpTo(target, dataDir)).rejects.toMatchObject({
      code: "DATA_DIR_LOCKED",
      message: expect.stringContaining(`process ${server.pid}`),
    });
    await stop(server);

    const made = await backUpTo(target, dataDir);
    expect(made).toMatchObject({ target, attestryVersion: "1.2.3", elsewhere: [], leftovers: [] });
    expect(readdirSync(folder).sort()).toEqual(["backup", "data"]);
    expect(readdirSync(dataDir)).not.toContain("lock");
    expect(statSync(target).mode & 0o777).toBe(0o700);
    const copied = path.join(target, "data");
    expect(statSync(path.join(copied, "postgres/cluster/PG_VERSION")).mode & 0o777).toBe(0o600);
    expect(readdirSync(path.join(copied, "postgres")).sort()).toEqual(["cluster", "password"]);
    for (const name of ["postmaster.pid", "postmaster.opts"]) {
      expect(existsSync(path.join(copied, "postgres/cluster", name))).toBe(false);
    }
    expect(statSync(path.join(copied, "postgres/cluster/pg_notify")).isDirectory()).toBe(true);

    rmSync(dataDir, { recursive: true });
    // Under another name than before: nothing in it knows where it was.
    const elsewhere = path.join(folder, "moved");
    await restore({ ...quiet, backup: target, dataDir: elsewhere });
    expect(readdirSync(folder).sort()).toEqual(["backup", "moved"]);
    expect(statSync(elsewhere).mode & 0o777).toBe(0o700);
    const again = startProcess(elsewhere, ...anyPort);
    const restored = await untilReady(again, startMs);
    await expectKept(restored, kept);
    await expect(call(restored, kept.token, "attestry.ingest.v1.GcService/Collect", {})).rejects.toThrow("DELETES_OFF");
    await stop(again);
    expect(again.stderr()).toBe("");
    expect(again.stdout()).toContain("nothing is deleted until you start it with --adopt");

    for (const args of [["--adopt"], []]) {
      const adopted = startProcess(elsewhere, ...anyPort, ...args);
      await call(await untilReady(adopted, startMs), kept.token, "attestry.ingest.v1.GcService/Collect", {});
      await stop(adopted);
      expect(adopted.stdout()).not.toContain("--adopt");
    }
  }, 180_000);

  test("that was killed: refused while its PostgreSQL runs on, and whole from the log after that", async () => {
    const folder = temporaryFolder();
    const dataDir = path.join(folder, "data");
    const server = startProcess(dataDir, ...anyPort);
    const address = await untilReady(server, startMs);
    const kept = await store(address, dataDir);
    server.signal("SIGKILL");
    await server.exited;
    const postmaster = Number.parseInt(readFileSync(path.join(dataDir, "postgres/cluster/postmaster.pid"), "utf8"), 10);
    await expect(backUpTo(path.join(folder, "early"), dataDir)).rejects.toMatchObject({
      code: "POSTGRES_RUNNING",
      message: expect.stringContaining(`process ${postmaster}`),
    });
    expect(readdirSync(folder)).toEqual(["data"]);
    expect(postgresOf(dataDir)).toContain(postmaster);

    process.kill(postmaster, "SIGKILL");
    expect(await waitForExit(postmaster, 10_000)).toBe(true);
    const backup = path.join(folder, "backup");
    await backUpTo(backup, dataDir);
    rmSync(dataDir, { recursive: true });
    await restore({ ...quiet, backup, dataDir });
    const again = startProcess(dataDir, ...anyPort);
    await expectKept(await untilReady(again, startMs), kept);
    await stop(again);
  }, 180_000);
});
