import { chmodSync, readFileSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { cleanUp, postgresOf, startProcess, temporaryFolder, untilReady } from "./server-process.ts";

afterAll(cleanUp);

const anyPort = ["--listen", "127.0.0.1:0"] as const;

async function api(
  address: string,
  token: string,
  method: string,
  body: unknown,
): Promise<{ status: number; answer: unknown }> {
  const response = await fetch(`${address}/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  return { status: response.status, answer: await response.json() };
}

test("the first start makes everything; the second has the same data and token; a signal leaves no PostgreSQL", async () => {
  // Below a folder that only its owner may enter, which PostgreSQL as another user could not.
  const folder = temporaryFolder();
  chmodSync(folder, 0o700);
  const dataDir = path.join(folder, "data");

  const first = startProcess(dataDir, ...anyPort);
  const address = await untilReady(first, 60_000);
  const tokenFile = path.join(dataDir, "admin-token");
  const token = readFileSync(tokenFile, "utf8").trim();
  expect(statSync(tokenFile).mode & 0o777).toBe(0o600);
  expect(statSync(dataDir).mode & 0o777).toBe(0o700);
  expect(first.stdout()).toContain(token);
  expect(first.stdout()).toContain("npm run --silent attestry -- store docs/sample/bundle.json");
  const created = await api(address, token, "attestry.run.v1.RunService/Create", {
    project: "demo",
    workflow: "build",
  });
  expect(created.status).toBe(200);

  first.signal("SIGINT");
  expect(await first.exited).toBe(0);
  expect(first.stderr()).toBe("");
  expect(postgresOf(dataDir)).toEqual([]);

  const authority = readFileSync(path.join(dataDir, "keys", "signing-ca.pem"), "utf8");
  expect(statSync(path.join(dataDir, "keys", "signing-ca-key.pem")).mode & 0o777).toBe(0o600);

  const second = startProcess(dataDir, ...anyPort);
  const again = await untilReady(second, 8_000);
  expect(await api(again, token, "attestry.run.v1.SigningService/GetAuthority", {})).toMatchObject({
    status: 200,
    answer: { certificates: [authority] },
  });
  expect(readFileSync(tokenFile, "utf8").trim()).toBe(token);
  expect(second.stdout()).not.toContain(token);
  const listed = await api(again, token, "attestry.run.v1.RunService/List", {});
  expect(listed).toMatchObject({ status: 200, answer: { runs: [(created.answer as { run: unknown }).run] } });
  second.signal("SIGTERM");
  expect(await second.exited).toBe(0);
  expect(postgresOf(dataDir)).toEqual([]);
}, 120_000);

test("after kill -9 the next start stops the PostgreSQL that was left, and has all data", async () => {
  const dataDir = path.join(temporaryFolder(), "data");
  const killed = startProcess(dataDir, ...anyPort);
  const address = await untilReady(killed, 60_000);
  const token = readFileSync(path.join(dataDir, "admin-token"), "utf8").trim();
  const created = await api(address, token, "attestry.run.v1.RunService/Create", {
    project: "demo",
    workflow: "build",
  });
  killed.signal("SIGKILL");
  await killed.exited;
  const left = postgresOf(dataDir);
  expect(left.length).toBeGreaterThan(0);

  const next = startProcess(dataDir, ...anyPort);
  const listed = await api(await untilReady(next, 8_000), token, "attestry.run.v1.RunService/List", {});
  expect(listed).toMatchObject({ status: 200, answer: { runs: [(created.answer as { run: unknown }).run] } });
  expect(postgresOf(dataDir)).not.toEqual(expect.arrayContaining(left));
  next.signal("SIGINT");
  expect(await next.exited).toBe(0);
}, 120_000);

test("when PostgreSQL ends, the server says so and ends too", async () => {
  const dataDir = path.join(temporaryFolder(), "data");
  const server = startProcess(dataDir, ...anyPort);
  await untilReady(server, 60_000);
  const postmaster = Number.parseInt(readFileSync(path.join(dataDir, "postgres/cluster/postmaster.pid"), "utf8"), 10);
  process.kill(postmaster, "SIGKILL");
  expect(await server.exited).toBe(1);
  expect(server.stderr()).toMatch(/^attestry: PostgreSQL has ended .*\n$/);
}, 120_000);

test("without its token file it signs the same token again", async () => {
  const dataDir = path.join(temporaryFolder(), "data");
  const tokenFile = path.join(dataDir, "admin-token");
  const first = startProcess(dataDir, ...anyPort);
  await untilReady(first, 60_000);
  const token = readFileSync(tokenFile, "utf8").trim();
  first.signal("SIGINT");
  await first.exited;
  rmSync(tokenFile);

  const second = startProcess(dataDir, ...anyPort);
  const address = await untilReady(second, 8_000);
  const again = readFileSync(tokenFile, "utf8").trim();
  for (const good of [token, again]) {
    const listed = await api(address, good, "attestry.run.v1.TokenService/List", {});
    expect(listed).toMatchObject({ status: 200, answer: { tokens: [{ name: "admin" }] } });
    expect((listed.answer as { tokens: unknown[] }).tokens).toHaveLength(1);
  }
  second.signal("SIGINT");
  await second.exited;
}, 120_000);
