import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
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

/** Ends by itself; with what it wrote. */
function refused(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, ...args], {
    cwd: folder,
    env: { ...process.env, ...listen },
    encoding: "utf8",
  });
}

test("it has no flags but --help", () => {
  expect(refused("--help")).toMatchObject({ status: 0, stdout: expect.stringContaining("Usage: npm run dev --") });
  for (const argument of ["--bogus", "extra"]) {
    const { status, stderr } = refused(argument);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^error: .*[\s\S]*Usage: npm run dev --/);
  }
  expect(readdirSync(folder)).toEqual([]);
});

test("a port in use is named by its variable, and nothing is made", async () => {
  const [host = "", port = ""] = (listen.ATTESTATION_INGEST_LISTEN ?? "").split(":");
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(Number(port), host, resolve));
  const { status, stderr } = refused();
  other.close();
  expect(status).toBe(1);
  expect(stderr).toMatch(/^attestry dev: 127.* is in use .* with ATTESTATION_INGEST_LISTEN=HOST:PORT\n$/);
  expect(readdirSync(folder)).toEqual([]);
});

/** An environment in which of all programs only those are found that PostgreSQL needs as root. */
function bareEnvironment(): NodeJS.ProcessEnv {
  const bin = path.join(folder, "bin");
  if (!existsSync(bin)) {
    mkdirSync(bin);
    for (const program of ["unshare", "true"]) {
      symlinkSync(execFileSync("which", [program], { encoding: "utf8" }).trim(), path.join(bin, program));
    }
  }
  return { PATH: bin };
}

test("without Redis and MinIO it says how to get them, and goes on with what there is", async () => {
  const dev = await startDev(bareEnvironment());
  expect(dev.logs()).toContain("No redis here, so it runs without the second-level cache. To get it: apt-get install");
  expect(dev.logs()).toContain("No minio here, so it stores in a folder. To get it: go install");
  expect(dev.logs()).toMatch(/Default backend +local\n/);
  expect(dev.logs()).toMatch(/127\.0\.0\.1:\d+, databases .*password in \.attestry-dev\/postgres\/password/);
  expect(dev.logs()).not.toContain("postgresql://");
  expect(await defaultBackend(adminToken())).toBe("local");
  expect(readFileSync(path.join(folder, ".attestry-dev/logs/cas-gateway.log"), "utf8")).not.toContain('"level":"warn"');
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

    for (const [env, backend] of [
      [bareEnvironment(), "local"],
      [process.env, "minio"],
    ] as const) {
      const dev = await startDev(env);
      expect(dev.logs()).toMatch(new RegExp(`Default backend +${backend}\\n`));
      expect(await defaultBackend(token)).toBe(backend);
      dev.signal("SIGTERM");
      await dev.exited;
    }
  }, 180_000);
});
