import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { describeWith, freePort, type Spawned, spawnServer } from "../src/index.ts";

const main = path.resolve(import.meta.dirname, "../src/main.ts");

let folder: string;
let listen: Record<string, string>;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "attestry-dev-"));
  listen = {
    WORKFLOW_RUN_LISTEN: `127.0.0.1:${await freePort()}`,
    ATTESTATION_INGEST_LISTEN: `127.0.0.1:${await freePort()}`,
    CAS_GATEWAY_LISTEN: `127.0.0.1:${await freePort()}`,
  };
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** `npm run dev` in an empty folder; ready when it has said all that it has to say. */
async function startDev(env: NodeJS.ProcessEnv = process.env): Promise<Spawned> {
  let output = "";
  return spawnServer({
    name: "npm run dev",
    command: process.execPath,
    args: [main],
    cwd: folder,
    env: { ...env, ...listen },
    isReady: async () => output.includes("Ctrl-C stops all of it"),
    readyMs: 60_000,
    onOutput: (text) => {
      output += text;
    },
  });
}

function adminToken(): string {
  const file = path.join(folder, ".attestry-dev/admin-token");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  return readFileSync(file, "utf8").trim();
}

async function defaultBackend(token: string): Promise<unknown> {
  const method = `http://${listen.WORKFLOW_RUN_LISTEN}/attestry.run.v1.BackendService/List`;
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const response = await fetch(method, { method: "POST", headers, body: "{}" });
  const { backends } = (await response.json()) as { backends: { name: string; isDefault?: boolean }[] };
  return backends.find(({ isDefault }) => isDefault)?.name;
}

/** Processes that were started below the folder, or by what was. */
function leftBehind(): string[] {
  const processes = execFileSync("ps", ["-eww", "-o", "args="], { encoding: "utf8" }).split("\n");
  return processes.filter((line) => line.includes(folder) && !line.startsWith("ps "));
}

test("without Redis and MinIO it says how to get them, and goes on with what there is", async () => {
  // Of all programs only those that PostgreSQL needs as root are to be found.
  const bin = path.join(folder, "bin");
  mkdirSync(bin);
  for (const program of ["unshare", "true"]) {
    symlinkSync(execFileSync("which", [program], { encoding: "utf8" }).trim(), path.join(bin, program));
  }
  const dev = await startDev({ PATH: bin });
  expect(dev.logs()).toContain("No redis here, so it runs without the second-level cache. To get it: apt-get install");
  expect(dev.logs()).toContain("No minio here, so it stores in a folder. To get it: go install");
  expect(await defaultBackend(adminToken())).toBe("local");
  dev.signal("SIGINT");
  await dev.exited;
  expect(leftBehind()).toEqual([]);
  rmSync(path.join(folder, ".attestry-dev"), { recursive: true });
}, 120_000);

describeWith(["redis", "minio"], "npm run dev with all servers", () => {
  test("stores in MinIO, keeps its data and token, and leaves nothing running", async () => {
    const first = await startDev();
    const token = adminToken();
    expect(await defaultBackend(token)).toBe("minio");
    first.signal("SIGINT");
    await first.exited;
    expect(leftBehind()).toEqual([]);

    const second = await startDev();
    expect(adminToken()).toBe(token);
    expect(await defaultBackend(token)).toBe("minio");
    second.signal("SIGTERM");
    await second.exited;
    expect(leftBehind()).toEqual([]);
  }, 120_000);
});
