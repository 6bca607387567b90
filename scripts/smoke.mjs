// What a newcomer does: clone, `npm start`, store the sample, read it back, stop, start again. Plain Node 20.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

// Bounds for a busy machine; how long it took is printed.
const firstStartMs = 300_000;
const laterStartMs = 60_000;

const source = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), "..");
const work = mkdtempSync(path.join(os.tmpdir(), "attestry-smoke-"));
const clone = path.join(work, "attestry");
const dataDir = path.join(work, "data");
const port = await freePort();
const address = `http://127.0.0.1:${port}`;
const bundle = readFileSync(path.join(source, "docs/sample/bundle.json"));
let running;

try {
  execFileSync("git", ["clone", "--quiet", source, clone], { stdio: "inherit" });

  await start(firstStartMs);
  const token = adminToken();
  const { run } = await call("attestry.run.v1.RunService/Create", token, { project: "smoke", workflow: "build" });
  const stored = await call("attestry.ingest.v1.AttestationService/Store", token, {
    runId: run.id,
    bundle: bundle.toString("base64"),
  });
  await expectBundle(token, stored.digest);
  const { attestations } = await call("attestry.ingest.v1.AttestationService/List", token, {});
  assert.deepEqual(
    attestations.map(({ digest, runId }) => ({ digest, runId })),
    [{ digest: stored.digest, runId: run.id }],
  );
  await stop();

  await start(laterStartMs);
  assert.equal(adminToken(), token, "the second start has the same token");
  await expectBundle(token, stored.digest);
  await stop();
  console.log("smoke test passed");
} finally {
  if (running !== undefined) process.kill(-running.pid, "SIGKILL");
  for (const pid of postgresOfDataDir()) process.kill(pid, "SIGKILL");
  rmSync(work, { recursive: true, force: true });
}

async function start(deadlineMs) {
  const began = Date.now();
  // In a process group of its own, like a job of a terminal: Ctrl-C reaches npm and the server at once.
  running = spawn("npm", ["start", "--", "--listen", `127.0.0.1:${port}`, "--data-dir", dataDir], {
    cwd: clone,
    detached: true,
    stdio: "inherit",
  });
  running.ended = new Promise((resolve) => running.once("exit", resolve));
  while (!(await isReady())) {
    assert.equal(running.exitCode, null, "npm start ended before it was ready");
    assert.ok(Date.now() - began < deadlineMs, `not ready within ${deadlineMs / 1000} s`);
    await sleep(50);
  }
  console.log(`ready after ${seconds(began)} s`);
}

function seconds(began) {
  return ((Date.now() - began) / 1000).toFixed(1);
}

async function stop() {
  const began = Date.now();
  process.kill(-running.pid, "SIGINT");
  await Promise.race([
    running.ended,
    sleep(30_000, undefined, { ref: false }).then(() => assert.fail("does not stop within 30 s")),
  ]);
  running = undefined;
  console.log(`stopped after ${seconds(began)} s`);
  assert.deepEqual(postgresOfDataDir(), [], "no PostgreSQL is left");
}

async function isReady() {
  try {
    return (await fetch(`${address}/readyz`)).status === 200;
  } catch {
    return false;
  }
}

async function call(method, token, body) {
  const response = await fetch(`${address}/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  assert.equal(response.status, 200, `${method}: ${JSON.stringify(answer)}`);
  return answer;
}

async function expectBundle(token, digest) {
  const answer = await call("attestry.ingest.v1.AttestationService/Get", token, { digest });
  assert.ok(Buffer.from(answer.bundle, "base64").equals(bundle), "the bundle comes back byte for byte");
}

function adminToken() {
  const file = path.join(dataDir, "admin-token");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  return readFileSync(file, "utf8").trim();
}

function postgresOfDataDir() {
  return execFileSync("ps", ["-eww", "-o", "pid=,args="], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes("postgres") && line.includes(dataDir))
    .map((line) => Number.parseInt(line, 10));
}

/** None of those that the system gives to outgoing connections: it may be used again after a while. */
async function freePort() {
  for (;;) {
    const port = randomInt(20_000, 32_768);
    const server = createServer();
    const isFree = await new Promise((resolve) => {
      server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
