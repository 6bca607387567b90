import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Constellation, startConstellation } from "@attestry/dev-env/constellation";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { cliOf } from "./cli-of.ts";
import { startCuttingProxy } from "./cutting-proxy.ts";

jest.setTimeout(60_000);

const sha256 = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

let folder = "";
let constellation: Constellation;
let cli: ReturnType<typeof cliOf>["cli"];
let json: ReturnType<typeof cliOf>["json"];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "attestry-cli-"));
  constellation = await startConstellation({ shape: "processes", backend: "filesystem" });
  ({ cli, json } = cliOf(constellation));
});

afterAll(async () => {
  await constellation?.stop();
  await rm(folder, { recursive: true });
});

test("blobs go in and come back", async () => {
  const bytes = Buffer.alloc(3_000_000, "blob ");
  const file = path.join(folder, "blob.bin");
  await writeFile(file, bytes);
  const put = await json<{ digest: string }>("blob", "put", file);
  expect(put).toEqual({ digest: sha256(bytes), sizeBytes: bytes.length, backend: "local" });
  const target = path.join(folder, "blob.out");
  expect((await cli(["blob", "get", put.digest, "-o", target])).code).toBe(0);
  expect(bytes.equals(await readFile(target))).toBe(true);
  expect(await json("blob", "get", put.digest)).toEqual(put);
  expect((await cli(["blob", "get", `sha256:${"00".repeat(32)}`])).code).toBe(3);
});

test("a blob that is too large is refused, and the hint says how more is allowed", async () => {
  const file = path.join(folder, "too-large.bin");
  await writeFile(file, Buffer.alloc(11 * 1024 * 1024));
  const { code, stderr } = await cli(["blob", "put", file]);
  expect(stderr).toMatch(/\(BLOB_TOO_LARGE\)\nhint: .*attestry backend update NAME --max-bytes/);
  expect(code).toBe(1);
});

test("a blob put that was killed goes on, and so does a get; sync sends nothing twice", async () => {
  expect(await json("backend", "update", "local", "--max-bytes", "100MB")).toMatchObject({ maxBytes: 100_000_000 });
  const proxy = await startCuttingProxy(constellation.casUrl, { bytesPerSecond: 40_000_000 });
  const throughProxy = { env: { ATTESTRY_CAS_ADDR: proxy.url } };
  try {
    const bytes = randomBytes(64 * 1024 * 1024);
    const dir = path.join(folder, "sync");
    await mkdir(dir);
    const file = path.join(dir, "large.bin");
    await writeFile(file, bytes);
    const killed = await cli(["blob", "put", file], { ...throughProxy, killWhen: () => proxy.sent > 32_000_000 });
    expect(killed.code).toBe(128);
    const before = proxy.sent;
    proxy.rules = { bytesPerSecondBack: 40_000_000 };
    expect((await cli(["blob", "put", file], throughProxy)).code).toBe(0);
    expect(proxy.sent - before).toBeLessThan(bytes.byteLength - 25_000_000);

    const get = ["blob", "get", sha256(bytes), "-o", path.join(folder, "large.out")];
    proxy.received = 0;
    expect((await cli(get, { ...throughProxy, killWhen: () => proxy.received > 32_000_000 })).code).toBe(128);
    proxy.rules = {};
    proxy.received = 0;
    expect((await cli(get, throughProxy)).code).toBe(0);
    expect(proxy.received).toBeLessThan(bytes.byteLength - 20_000_000);
    expect(bytes.equals(await readFile(path.join(folder, "large.out")))).toBe(true);

    await writeFile(path.join(dir, "small.txt"), "small");
    const { files } = await json<{ files: { path: string; uploaded: boolean }[] }>("blob", "sync", dir);
    expect(files).toMatchObject([
      { path: "large.bin", uploaded: false },
      { path: "small.txt", uploaded: true },
    ]);
  } finally {
    await proxy.stop();
  }
});

test("a link opens without a token and has the file's name", async () => {
  const file = path.join(folder, "report.txt");
  await writeFile(file, "a report");
  const { digest } = await json<{ digest: string }>("blob", "put", file);
  const { code, stdout } = await cli(["blob", "link", digest, "--name", "report.txt"]);
  expect(code).toBe(0);
  const answer = await fetch(stdout.trim());
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-disposition")).toContain("report.txt");
  expect(await answer.text()).toBe("a report");
  expect((await cli(["blob", "link", `sha256:${"00".repeat(32)}`])).code).toBe(3);
});
